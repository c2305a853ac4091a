"""Defect masks that come beside images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ahl.errors import ImageError
from ahl.images.finding import IMAGE_SUFFIXES
from ahl.images.reading import image_shape, read_pixels
from ahl.types import Sample


def read_masks(paths: Sequence[Path], width: int, height: int) -> NDArray[np.bool_]:
    """Unite the masks of one image.

    Args:
        paths: of the masks, possibly none; any pixel that is not black marks the defect.
        width: of the image, in pixels.
        height: likewise.

    Returns:
        Array (height, width), True on the defect.

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


def masked_defects(
    samples: Sequence[Sample], root: Path
) -> Iterator[tuple[Sample, NDArray[np.bool_]]]:
    """Anomalous samples that have a mask, with it; unreadable and empty masks are passed over.

    Args:
        samples: of a dataset in MVTec AD's layout.
        root: its folder; the mask of `test/broken/000.png` is `ground_truth/broken/000_mask.png`.

    Yields:
        each with a mask (H, W) of its image's size, True on the defect.
    """
    masks: dict[tuple[str, str], list[Path]] = {}
    for path in sorted((root / "ground_truth").glob("*/*")):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            stem = path.stem.removesuffix("_mask")
            masks.setdefault((path.parent.name, stem), []).append(path)
    for sample in samples:
        paths = masks.get((sample.class_name, sample.path.stem))
        if not sample.is_anomaly or not paths:
            continue
        try:
            height, width = image_shape(sample.source)
            mask = read_masks(paths, width, height)
        except ImageError:
            continue
        if mask.any():
            yield sample, mask


def smaller_than_a_cell(samples: Sequence[Sample], root: Path, cells: int) -> tuple[int, int]:
    """Count masked defects that cover less of their image than one feature cell does.

    Args:
        samples: as for `masked_defects`.
        root: likewise.
        cells: positions of the larger feature map.

    Returns:
        how many cover less, and how many have a mask.
    """
    shares = [float(mask.mean()) for _, mask in masked_defects(samples, root)]
    return sum(share * cells < 1 for share in shares), len(shares)
