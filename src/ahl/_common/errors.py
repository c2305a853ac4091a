"""Every error `ahl` raises for a cause outside its own code.

One small hierarchy: catch `AHLError` to catch them all. Each message says what was
found and what to do about it; the command line prints it without a traceback.
"""


class AHLError(Exception):
    """Base class of all errors that a user can cause and mend."""


class ConfigurationError(AHLError, ValueError):
    """An option has a value that cannot work; the message names the option."""


class DataError(AHLError):
    """A dataset, as a whole, cannot serve (empty, wrong layout, no anomalies...)."""


class ImageError(AHLError):
    """One image cannot be read; the rest of the work goes on unless `--strict`."""


class WeightsError(AHLError):
    """Backbone weights cannot be found, reached or fitted to the architecture."""


class ModelFileError(AHLError):
    """A model file is truncated, foreign, altered or of an unknown version."""


class ResumeError(AHLError):
    """A checkpoint cannot continue the run that was asked for."""


class ProcessError(AHLError):
    """Another process that the work is shared with has ended before its time."""


class NotFittedError(AHLError, ValueError, AttributeError):
    """A detector was asked to score or save before it was trained or loaded.

    Of the same built-in classes as scikit-learn's: `hasattr(detector, "classes_")` is False then.
    """


class ParityError(AHLError):
    """An exported model does not score as the model itself does."""
