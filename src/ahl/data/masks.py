"""Reading and resizing of defect masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ahl._common.errors import ImageError
from ahl._common.types import ImageSize, Sample
from ahl.data.images.reading import image_shape, read_pixels


def read_masks(paths: Sequence[Path], width: int, height: int) -> NDArray[np.bool_]:
    """Union of an image's masks, possibly none, as an array (height, width), True on the defect.

    Every pixel that is not black marks the defect.

    Raises:
        ImageError: if a mask cannot be read or is of another size than the image.
    """
    united = np.zeros((height, width), dtype=np.bool_)
    for path in paths:
        try:
            mask = read_pixels(path).any(axis=2)
        except ImageError as error:
            raise ImageError(f"its mask {path.name}: {error}") from error
        if mask.shape != united.shape:
            raise ImageError(
                f"its mask {path.name} has {mask.shape[1]} x {mask.shape[0]} pixels, "
                f"not {width} x {height}"
            )
        united |= mask
    return united


def mask_of(sample: Sample) -> NDArray[np.bool_] | None:
    """The united masks (H, W) of an anomaly, in its image's size.

    None for a normal image, and if masks are missing, empty or unreadable.
    """
    if not sample.is_anomaly or not sample.masks:
        return None
    try:
        height, width = image_shape(sample.source)
        mask = read_masks(sample.masks, width, height)
    except ImageError:
        return None
    return mask if mask.any() else None


def defect_masks(samples: Sequence[Sample]) -> Iterator[NDArray[np.bool_]]:
    """Yield the mask (H, W) of each sample that has one."""
    return (mask for sample in samples if (mask := mask_of(sample)) is not None)


def resized_mask(mask: NDArray[np.bool_], size: ImageSize) -> NDArray[np.bool_]:
    """Resize a mask (H, W); a pixel that touches the defect is marked.

    A thin crack is thus not lost in a smaller mask.
    """
    resized = Image.fromarray(mask.astype(np.uint8) * 255).resize(size[::-1], Image.Resampling.BOX)
    return np.asarray(resized) > 0


def is_smaller_than_a_cell(mask: NDArray[np.bool_], cells: int) -> bool:
    """True if a mask (H, W) covers less than one of `cells` equal cells of its image."""
    return float(mask.mean()) * cells < 1


def help_for_small_defects(tiles: int) -> str:
    """Advice for defects smaller than a feature cell; `tiles` is 0 if images are seen whole."""
    return "give a larger --image-size" if tiles else "--tiles sees images larger, part by part"
