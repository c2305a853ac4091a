"""Size, pixel hash and thumbnail of every image, from decoding it once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ahl._common.callbacks import Callback
from ahl._common.errors import ImageError
from ahl._common.types import Pixels, Skipped
from ahl.data.images.numbers import FULL_DEPTH
from ahl.data.images.reading import ImageSource, read_pixels

THUMBNAIL = 64
"""Side of a thumbnail in pixels: 4 KiB an image, 40 MiB for 10,000."""

_WORKERS = 2  # so many decoded images are in memory at once


class Named(Protocol):
    """A named and labelled image: a `Sample` or a `LabelledImage`."""

    @property
    def name(self) -> str:
        """Name, unique among the images."""

    @property
    def class_name(self) -> str:
        """`"good"`, or the anomaly class."""

    @property
    def source(self) -> ImageSource:
        """Source of the pixels."""


T = TypeVar("T", bound=Named)


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture(Generic[T]):
    """An image's size, pixel hash and thumbnail.

    Attributes:
        sample: the image with its label.
        width, height: size of the original in pixels.
        digest: SHA-256 of shape and pixels, which does not depend on the file's format.
        thumbnail: (64, 64) uint8, luminance, the whole image.
    """

    sample: T
    width: int
    height: int
    digest: str
    thumbnail: NDArray[np.uint8]


def look_at(
    samples: Sequence[T], callback: Callback, bit_depth: int = FULL_DEPTH
) -> tuple[list[Picture[T]], list[Skipped]]:
    """Decode every image once and make its picture.

    Args:
        samples: the images.
        callback: receives progress.
        bit_depth: as for `read_pixels`.

    Returns:
        pictures of the readable images in order, and the unreadable images, for the caller to
        report.
    """
    pictures, skipped = [], []
    callback.on_stage("looking at images", 0, len(samples))
    with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
        for done, seen in enumerate(pool.map(partial(_look_at_one, bit_depth), samples), start=1):
            if isinstance(seen, Picture):
                pictures.append(seen)
            else:
                skipped.append(seen)
            callback.on_stage("looking at images", done, len(samples))
    return pictures, skipped


def _look_at_one(bit_depth: int, sample: T) -> Picture[T] | Skipped:
    try:
        return picture_of(sample, read_pixels(sample.source, bit_depth=bit_depth))
    except ImageError as error:
        return Skipped(name=sample.name, reason=str(error))


def picture_of(sample: T, pixels: Pixels) -> Picture[T]:
    """Make the picture of an image with these pixels (H, W, 3)."""
    height, width = pixels.shape[:2]
    digest = hashlib.sha256(f"{height} {width}\n".encode())
    digest.update(pixels.data)
    return Picture(
        sample=sample,
        width=width,
        height=height,
        digest=digest.hexdigest(),
        thumbnail=_thumbnail(pixels),
    )


def _thumbnail(pixels: Pixels) -> NDArray[np.uint8]:
    small = Image.fromarray(pixels).convert("L")
    return np.array(small.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))
