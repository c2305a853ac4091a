"""What a model was trained on."""

from __future__ import annotations

from dataclasses import dataclass

from ahl.datasets import Drawn
from ahl.types import GOOD


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFile:
    """One image the model was trained on."""

    name: str
    sha256: str
    class_name: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What the model was trained on.

    Attributes:
        files: every training image: normals, then anomalies; after an adaptation those of the
            products before come first.
        earlier: how many of the files are of products before the last adaptation.
        drawn: `"all"` labelled anomalies were used, or a draw by the protocol's setting.
        known_class: in the hard setting, the class the anomalies were drawn from.
        skipped: number of images that could not be read.
    """

    files: tuple[TrainingFile, ...] = ()
    earlier: int = 0
    drawn: Drawn = "all"
    known_class: str | None = None
    skipped: int = 0

    @property
    def seen_classes(self) -> frozenset[str]:
        """Anomaly classes of the product with at least one training image.

        A class of an earlier product is another one, whatever its name.
        """
        own = self.files[self.earlier :]
        return frozenset(f.class_name for f in own if f.class_name != GOOD)

    @property
    def hashes(self) -> frozenset[str]:
        """Content hashes of all training images."""
        return frozenset(f.sha256 for f in self.files)
