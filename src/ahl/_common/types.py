"""Basic types that the whole pipeline shares, in data order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""One image: (H, W, 3) RGB."""

ImageSize = tuple[int, int]
"""Height and width in pixels."""

GOOD = "good"
"""Class name of normal images in every layout."""


class Kind(IntEnum):
    """Kind of a training sample: normal, labelled anomaly or pseudo anomaly."""

    NORMAL = 0
    ANOMALY = 1
    PSEUDO = 2


Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels; right and bottom are exclusive."""


@dataclass(frozen=True, slots=True)
class Region:
    """A part of an image file that counts as an image of its own.

    Attributes:
        path: the file.
        box: left, top, right, bottom in pixels of the image after its EXIF rotation; right and
            bottom are exclusive, as in Pillow's `crop`.
    """

    path: Path
    box: Box


@dataclass(frozen=True, slots=True)
class Pinned:
    """A file, or a region of one, whose content must still match its hash when it is read.

    Attributes:
        source: the file or the region.
        sha256: its `content_hash`.
    """

    source: Path | Region
    sha256: str


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """An encoded image that is not in the file system, but in a table or an object store.

    Attributes:
        name: its name in messages.
        fetch: returns the encoded bytes; raises ImageError.
    """

    name: str
    fetch: Callable[[], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One labelled image of a dataset: a whole file, or a region of one.

    Attributes:
        path: the file.
        name: path relative to the dataset's root, with forward slashes; unique within the dataset,
            so regions add their number in the file: `kos01/Part5.jpg#0`.
        class_name: `"good"`, or the anomaly class (the folder's name).
        box: left, top, right, bottom of the region, as in `Region`; None for the whole file.
        part: name shared by all photographs of one physical part; None: no other shows it.
        masks: files that mark its defects, as large as the image; not part of equality.
        sha256: hash that the content must still have when it is read; None for any content.
    """

    path: Path
    name: str
    class_name: str
    box: Box | None = None
    part: str | None = None
    masks: tuple[Path, ...] = field(default=(), compare=False)
    sha256: str | None = field(default=None, compare=False)

    @property
    def source(self) -> Path | Region | Pinned:
        """The file or region to read the pixels from, pinned if `sha256` is given."""
        source = self.path if self.box is None else Region(self.path, self.box)
        return source if self.sha256 is None else Pinned(source, self.sha256)

    @property
    def is_anomaly(self) -> bool:
        """True for an image that is labelled anomalous."""
        return self.class_name != GOOD


@dataclass(frozen=True, kw_only=True)
class ImageItem:
    """An image to extract features from, not decoded yet.

    Attributes:
        name: its name in messages.
        key: identity of the content; equal keys are extracted once.
        load: decodes it at the image size: uint8 (H, W, 3); raises ImageError.
    """

    name: str
    key: str
    load: Callable[[], Pixels]


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """An input that could not be used, and the reason."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredSample:
    """One labelled image with its score.

    Attributes:
        sample: the image.
        score: anomaly score; higher is more anomalous, no fixed range.
        seen: True for an anomaly whose class had an example in training.
    """

    sample: Sample
    score: float
    seen: bool
