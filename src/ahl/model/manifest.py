"""What a model was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Self, get_args

from ahl._common.types import GOOD
from ahl.data import Drawn

_MOST: Final = 10**9  # images that a count may state


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFile:
    """One image the model was trained on."""

    name: str
    sha256: str
    class_name: str

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild it from its JSON values.

        Raises:
            TypeError: if they are not those of a file.
        """
        file = cls(**values)
        if not all(isinstance(text, str) for text in asdict(file).values()):
            raise TypeError("a training image's name, hash or class is not text")
        return file


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

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild a manifest from its JSON values; what is lacking is as in a new one.

        Raises:
            AttributeError, TypeError, ValueError: if they are not those of a manifest.
        """
        if not set(values) <= {field.name for field in fields(cls)}:
            raise ValueError("the manifest has fields that are not known")
        files = values.get("files", ())
        if not isinstance(files, (list, tuple)):
            raise TypeError("the manifest's files are not a list")
        drawn, known_class = values.get("drawn", "all"), values.get("known_class")
        if drawn not in get_args(Drawn):
            raise ValueError(f"the anomalies were drawn as {drawn!r}, which is not known")
        if not (known_class is None or isinstance(known_class, str)):
            raise TypeError("the known class is not text")
        return cls(
            files=tuple(TrainingFile.from_values(file) for file in files),
            earlier=_count(values.get("earlier", 0), len(files)),
            drawn=drawn,
            known_class=known_class,
            skipped=_count(values.get("skipped", 0), _MOST),
        )


def _count(value: object, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError("the manifest counts images that there cannot be")
    return value
