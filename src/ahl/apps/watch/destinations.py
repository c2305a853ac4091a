"""Where a verdict sends a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ahl._common.errors import ConfigurationError
from ahl.scoring.prediction import Prediction


@dataclass(frozen=True, kw_only=True)
class Destinations:
    """The folders.

    Attributes:
        ok: for normal images.
        reject: for anomalous ones.
        uncertain: for those too close to call; None sends them by the side of the threshold that
            they lie on.
        unreadable: for files that do not decode.
    """

    ok: Path
    reject: Path
    uncertain: Path | None
    unreadable: Path

    def of(self, prediction: Prediction) -> Path:
        """The folder for an image that was scored by a model with a threshold, or not at all."""
        if prediction.score is None:
            return self.unreadable
        if prediction.verdict == "uncertain" and self.uncertain is not None:
            return self.uncertain
        return self.reject if prediction.anomalous else self.ok

    def all(self) -> tuple[Path, ...]:
        """Each folder once."""
        given = (self.ok, self.reject, self.uncertain, self.unreadable)
        return tuple(dict.fromkeys(path for path in given if path is not None))

    def check(self, watched: Path) -> None:
        """Refuse folders that cannot work.

        Raises:
            ConfigurationError: if one is the watched folder itself, or a file, or good and
                rejected images would lie together.
        """
        for path in self.all():
            if path.resolve() == watched.resolve():
                raise ConfigurationError(
                    f"{path} is the watched folder itself; give another one to move files to."
                )
            if path.exists() and not path.is_dir():
                raise ConfigurationError(f"{path} is a file; name a folder to move files to.")
        if self.ok.resolve() == self.reject.resolve():
            raise ConfigurationError("--ok and --reject are one folder; give two.")
