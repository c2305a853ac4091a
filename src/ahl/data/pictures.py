"""One look at every image: its size, the identity of its pixels, and a thumbnail."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ahl._common.callbacks import Callback
from ahl._common.errors import ImageError
from ahl._common.types import Sample, Skipped
from ahl.data.images.reading import read_pixels

THUMBNAIL = 64
"""Side of a thumbnail in pixels: 4 KiB an image, 40 MiB for 10,000."""

_WORKERS = 2  # so many decoded images are in memory at once


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """One image: its size, its identity and its looks.

    Attributes:
        sample: the image with its label.
        width, height: of the original, in pixels.
        digest: SHA-256 of shape and pixels; equal for equal pixels in whatever file.
        thumbnail: (64, 64) uint8, luminance, the whole image.
    """

    sample: Sample
    width: int
    height: int
    digest: str
    thumbnail: NDArray[np.uint8]


def look_at(samples: Sequence[Sample], callback: Callback) -> tuple[list[Picture], list[Skipped]]:
    """Decode every image once.

    Args:
        samples: the images.
        callback: receives progress and what cannot be read.

    Returns:
        the pictures of the readable ones in order, and what was skipped.
    """
    pictures, skipped = [], []
    callback.on_stage("looking at images", 0, len(samples))
    with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
        for done, seen in enumerate(pool.map(_look_at_one, samples), start=1):
            if isinstance(seen, Picture):
                pictures.append(seen)
            else:
                skipped.append(seen)
                callback.on_skipped(seen)
            callback.on_stage("looking at images", done, len(samples))
    return pictures, skipped


def _look_at_one(sample: Sample) -> Picture | Skipped:
    try:
        pixels = read_pixels(sample.source)
    except ImageError as error:
        return Skipped(name=sample.name, reason=str(error))
    height, width = pixels.shape[:2]
    digest = hashlib.sha256(f"{height} {width}\n".encode())
    digest.update(pixels.data)
    small = Image.fromarray(pixels).convert("L")
    return Picture(
        sample=sample,
        width=width,
        height=height,
        digest=digest.hexdigest(),
        thumbnail=np.array(small.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)),
    )
