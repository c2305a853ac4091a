"""Errors that `ahl` raises for causes outside its own code.

Catch `AHLError` to catch them all. Each message says what was found and what to do about it;
the command line prints it without a traceback.
"""


class AHLError(Exception):
    """Base class of all errors that a user can cause and fix."""


class ConfigurationError(AHLError, ValueError):
    """An option has an invalid value; the message names the option."""


class DataError(AHLError):
    """A dataset as a whole cannot be used (empty, wrong layout, no anomalies...)."""


class ImageError(AHLError):
    """An image cannot be read; the rest of the work goes on unless `--strict` is given."""


class WeightsError(AHLError):
    """Backbone weights cannot be found or downloaded, or do not fit the architecture."""


class ModelFileError(AHLError):
    """A model file is missing, damaged, altered, of another kind or of another version."""


class ResumeError(AHLError):
    """A checkpoint cannot continue the run that was asked for."""


class ProcessError(AHLError):
    """Another process of a distributed run has ended early or cannot be reached."""


class NotFittedError(AHLError, ValueError, AttributeError):
    """A detector was asked to score or save before it was trained or loaded.

    It has the same built-in bases as scikit-learn's `NotFittedError`, so that
    `hasattr(detector, "classes_")` is False before a fit.
    """


class ParityError(AHLError):
    """An exported model's scores differ from those of the model itself."""
