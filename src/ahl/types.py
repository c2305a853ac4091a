"""The few values that travel through the whole pipeline, in data order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""One image: (H, W, 3) RGB."""

GOOD = "good"
"""Class name of normal images in every layout."""


class Kind(IntEnum):
    """What a training sample is (section 3 of the method: three kinds of sample)."""

    NORMAL = 0
    ANOMALY = 1
    PSEUDO = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One labelled image file of a dataset.

    Attributes:
        path: where the file is.
        name: path relative to the dataset's root, with forward slashes; unique within it.
        class_name: `"good"`, or the anomaly class (the folder's name).
    """

    path: Path
    name: str
    class_name: str

    @property
    def is_anomaly(self) -> bool:
        """Whether the image is labelled anomalous."""
        return self.class_name != GOOD


@dataclass(frozen=True, kw_only=True)
class ImageItem:
    """One image to extract, known before it is decoded.

    Attributes:
        name: for messages.
        key: identity of the content; equal keys are extracted once.
        load: decodes it: uint8, (image_size, image_size, 3); raises ImageError.
    """

    name: str
    key: str
    load: Callable[[], Pixels]


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """One input that could not be used, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredSample:
    """One labelled image with its scores.

    Attributes:
        sample: the image.
        score: anomaly score; higher is more anomalous, no fixed range.
        heads: score of each head by name (for `dra`: holistic, seen, pseudo, residual).
        seen: for an anomaly, whether its class had an example in training; False for a
            normal image.
    """

    sample: Sample
    score: float
    heads: Mapping[str, float]
    seen: bool
