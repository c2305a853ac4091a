"""Advice on the image size, from masks and by measurement."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ahl._common.callbacks import Callback
from ahl._common.randomness import numpy_generator
from ahl._common.types import ImageSize
from ahl.apps.advise.figures import Figure
from ahl.apps.advise.labels import SMALL, Verdict
from ahl.apps.advise.left_out import FOLDS, Progress, cross_fit
from ahl.apps.advise.pictures import Picture
from ahl.apps.advise.ranking import Indices, Ranking
from ahl.apps.advise.trials import Trials
from ahl.config.image_size import LARGEST_SIDE
from ahl.data.masks import defect_masks, is_smaller_than_a_cell

THIN = 2.0
"""Pixels after resizing below which a defect is all but gone."""

_LARGER = 10 / 7  # 224 to 320
_STEP = 32
_ROOM = 1.2  # originals must be so much larger for the larger size to show anything
_MOST = (300, 150)  # good images and defects that are compared on


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedDefects:
    """What the masks say.

    Attributes:
        count: images with a mask.
        thickness: median over them, in pixels after resizing, of the widest place of the defect
            (twice the radius of the largest disc inside).
        thinnest: its lowest tenth.
        too_thin: how many are thinner than `THIN` pixels there.
        too_thin_larger: how many would be at the larger size.
        below_cell: how many cover less of the image than one feature cell does.
    """

    count: int
    thickness: float
    thinnest: float
    too_thin: int
    too_thin_larger: int
    below_cell: int


@dataclass(frozen=True, kw_only=True)
class SizeAdvice:
    """Image size against originals and defects.

    Attributes:
        size: height and width that images are resized to.
        larger: those that they are compared with.
        width: median of the originals, in pixels.
        height: likewise.
        cell: width and height, in original pixels, of what one feature cell stands for.
        masked: from masks; None where there are none.
        compared: images that both sizes were measured on; 0 if not measured.
        at_size: AUROC at the size; None if not measured.
        at_larger: at the larger one.
        gain: how much higher that is.
        verdict: whether the size is enough.
        originals_larger: whether the originals hold more than the size shows.
        tiles: side in pixels of the tiles in which images are seen; 0 for whole images.
    """

    size: ImageSize
    larger: ImageSize
    width: int
    height: int
    cell: tuple[float, float]
    masked: MaskedDefects | None
    compared: int
    at_size: Figure | None
    at_larger: Figure | None
    gain: Figure | None
    verdict: Verdict
    originals_larger: bool
    tiles: int


def larger_size(size: ImageSize, step: int = _STEP) -> ImageSize:
    """The size to compare with: 320 x 320 for 224 x 224; no side beyond `LARGEST_SIDE`."""
    height, width = (
        min(LARGEST_SIDE, max(side + step, round(side * _LARGER / step) * step)) for side in size
    )
    return height, width


def advise_size(
    pictures: Sequence[Picture],
    root: Path,
    size: ImageSize,
    grid: tuple[int, int],
    *,
    tiles: int = 0,
    step: int = _STEP,
) -> SizeAdvice:
    """What sizes and masks say, before anything is measured.

    Args:
        pictures: of all images.
        root: the dataset's folder, where `ground_truth/` may be.
        size: height and width that images are resized to.
        grid: rows and columns of the features of such an image.
        tiles: side of the tiles in which images are seen; 0 for whole images.
        step: what the sides of a larger size are multiples of.
    """
    width = int(np.median([picture.width for picture in pictures]))
    height = int(np.median([picture.height for picture in pictures]))
    sides = [_side((picture.height, picture.width)) for picture in pictures]
    larger = larger_size(size, step)
    masked = _masked(pictures, root, size, larger, grid[0] * grid[1])
    originals_larger = bool(np.median(sides) >= _ROOM * _side(size))
    verdict: Verdict = "cannot tell" if originals_larger else "yes"
    return SizeAdvice(
        size=size,
        larger=larger,
        width=width,
        height=height,
        cell=(width / grid[1], height / grid[0]),
        masked=masked,
        compared=0,
        at_size=None,
        at_larger=None,
        gain=None,
        verdict=verdict,
        originals_larger=originals_larger,
        tiles=tiles,
    )


def compare_sizes(
    advice: SizeAdvice,
    trials: Trials,
    known: Ranking,
    at_larger: Callable[[Indices], AbstractContextManager[Trials]],
    *,
    callback: Callback,
) -> SizeAdvice:
    """Measure the larger size on the same images, or some of them.

    Args:
        advice: from `advise_size`.
        trials: the images.
        known: of all of them at the size, by the first draw of folds.
        at_larger: opens trials of some of the images at the larger size.
        callback: receives progress.
    """
    random = numpy_generator(trials.seed, "advice", "sizes")
    drawn = []
    for label, most in zip((False, True), _MOST, strict=True):
        members = np.flatnonzero(trials.anomalous == label)
        drawn.append(np.sort(random.permutation(members)[:most]))
    chosen = np.sort(np.concatenate(drawn))
    whole = len(chosen) == len(trials.samples)
    progress = Progress("image sizes, trainings", FOLDS * (1 if whole else 2), callback)
    some = trials.part(chosen)
    base = known if whole else cross_fit(some, some.labelled, 0, progress=progress)
    with at_larger(chosen) as others:
        if len(others.samples) != len(some.samples):  # one became unreadable meanwhile
            return advice
        larger = cross_fit(others, others.labelled, 0, progress=progress)
    gain = larger.minus(base)
    if gain is None:
        return advice
    verdict: Verdict = "cannot tell"
    if gain.low > 0:
        verdict = "no"
    elif gain.high < SMALL:
        verdict = "yes"
    return replace(
        advice,
        compared=len(chosen),
        at_size=base.figure(),
        at_larger=larger.figure(),
        gain=gain,
        verdict=verdict,
    )


def _masked(
    pictures: Sequence[Picture], root: Path, size: ImageSize, larger: ImageSize, cells: int
) -> MaskedDefects | None:
    samples = [picture.sample for picture in pictures]
    thickness, below_cell = [], 0
    for mask in defect_masks(samples, root):
        thickness.append(_thickness(mask) / math.sqrt(mask.size))
        below_cell += is_smaller_than_a_cell(mask, cells)
    if not thickness:
        return None
    resized, at_larger = np.array(thickness) * _side(size), np.array(thickness) * _side(larger)
    return MaskedDefects(
        count=len(thickness),
        thickness=float(np.median(resized)),
        thinnest=float(np.quantile(resized, 0.1)),
        too_thin=int((resized < THIN).sum()),
        too_thin_larger=int((at_larger < THIN).sum()),
        below_cell=below_cell,
    )


def _thickness(mask: NDArray[np.bool_]) -> float:
    """Diameter in pixels of the largest disc inside the mask."""
    from scipy.ndimage import distance_transform_edt

    padded = np.pad(mask, 1)
    return 2 * float(distance_transform_edt(padded).max()) - 1


def _side(size: ImageSize) -> float:
    """Side of the square of as many pixels."""
    return math.sqrt(size[0] * size[1])
