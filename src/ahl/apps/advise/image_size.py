"""Advice on the image size, from masks and by measurement."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ahl._common.types import ImageSize, Sample
from ahl.apps.advise.figures import Figure, Ranking, Verdict, verdict_on
from ahl.apps.advise.trials import FOLDS, Progress, Trials, open_trials, out_of_fold
from ahl.config.image_size import LARGEST_SIDE
from ahl.data.masks import defect_masks, is_smaller_than_a_cell
from ahl.data.pictures import Picture

THIN = 2.0
"""Pixels after resizing below which a defect is all but gone."""

_LARGER = 10 / 7  # 224 to 320
_STEP = 32
_ROOM = 1.2  # originals must be so much larger for the larger size to show anything
_MOST = (300, 150)  # good images and defects that are compared on


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedDefects:
    """Thickness of the masked defects, in pixels after resizing, at their widest place.

    Attributes:
        count: images with a mask.
        thickness: median over them of twice the radius of the largest disc inside the defect.
        thinnest: 10 % quantile of the same.
        too_thin: images whose defect is thinner than `THIN` pixels.
        too_thin_larger: images where it would be so at the larger size.
        below_cell: images whose defect covers less of the image than one feature cell does.
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
        larger: height and width that these are compared with.
        width, height: median of the originals, in pixels.
        cell: width and height, in original pixels, of what one feature cell stands for.
        masked: from masks; None without any.
        compared: images that both sizes were measured on; 0 if not measured.
        at_size: AUROC at the size; None if not measured.
        at_larger: AUROC at the larger one.
        gain: difference of the two.
        verdict: "yes" if the size is enough.
        originals_larger: True if the originals hold more than the size shows.
        tiles: side in pixels of the tiles in which images are seen; 0 for whole images.
    """

    size: ImageSize
    larger: ImageSize
    width: int
    height: int
    cell: tuple[float, float]
    masked: MaskedDefects | None
    compared: int = 0
    at_size: Figure | None = None
    at_larger: Figure | None = None
    gain: Figure | None = None
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
    pictures: Sequence[Picture[Sample]],
    size: ImageSize,
    grid: tuple[int, int],
    *,
    tiles: int = 0,
    step: int = _STEP,
) -> SizeAdvice:
    """Compare the size with the originals and the masks, without training.

    Args:
        pictures: of all images.
        size: height and width that images are resized to.
        grid: rows and columns of the features of such an image.
        tiles: side of the tiles in which images are seen; 0 for whole images.
        step: what the sides of a larger size are multiples of.
    """
    width = int(np.median([picture.width for picture in pictures]))
    height = int(np.median([picture.height for picture in pictures]))
    sides = [_side((picture.height, picture.width)) for picture in pictures]
    larger = larger_size(size, step)
    originals_larger = bool(np.median(sides) >= _ROOM * _side(size))
    return SizeAdvice(
        size=size,
        larger=larger,
        width=width,
        height=height,
        cell=(width / grid[1], height / grid[0]),
        masked=_masked(pictures, size, larger, grid[0] * grid[1]),
        verdict="cannot tell" if originals_larger else "yes",
        originals_larger=originals_larger,
        tiles=tiles,
    )


def compare_sizes(advice: SizeAdvice, trials: Trials, known: Ranking) -> SizeAdvice:
    """Measure the gain from the larger size on the same images, or some of them.

    Args:
        advice: from `advise_size`.
        trials: the images.
        known: ranking of all of them at the size, from the first draw of folds.

    Returns:
        the advice with what was measured; the same one if nothing could be.
    """
    random = trials.random("sizes")
    drawn = [
        random.permutation(np.flatnonzero(trials.anomalous == label))[:most]
        for label, most in zip((False, True), _MOST, strict=True)
    ]
    some = trials.part(np.sort(np.concatenate(drawn)))
    setup, whole = trials.setup, len(some.samples) == len(trials.samples)
    progress = Progress("image sizes, trainings", FOLDS * (1 if whole else 2), setup.callback)
    base = known if whole else out_of_fold(some, some.labelled, 0, progress)
    setup = replace(setup, config=setup.config.with_image_size(advice.larger))
    with open_trials(some.samples, some.groups, setup) as others:
        if len(others.samples) != len(some.samples):  # one became unreadable meanwhile
            return advice
        larger = out_of_fold(others, others.labelled, 0, progress)
    gain = larger.minus(base)
    if gain is None:
        return advice
    verdicts: dict[Verdict, Verdict] = {"yes": "no", "no": "yes", "cannot tell": "cannot tell"}
    return replace(
        advice,
        compared=len(some.samples),
        at_size=base.figure(),
        at_larger=larger.figure(),
        gain=gain,
        verdict=verdicts[verdict_on(gain)],
    )


def _masked(
    pictures: Sequence[Picture[Sample]], size: ImageSize, larger: ImageSize, cells: int
) -> MaskedDefects | None:
    masks = list(defect_masks([picture.sample for picture in pictures]))
    if not masks:
        return None
    thickness = np.array([_thickness(mask) / math.sqrt(mask.size) for mask in masks])
    resized = thickness * _side(size)
    return MaskedDefects(
        count=len(masks),
        thickness=float(np.median(resized)),
        thinnest=float(np.quantile(resized, 0.1)),
        too_thin=int((resized < THIN).sum()),
        too_thin_larger=int((thickness * _side(larger) < THIN).sum()),
        below_cell=sum(is_smaller_than_a_cell(mask, cells) for mask in masks),
    )


def _thickness(mask: NDArray[np.bool_]) -> float:
    """Diameter in pixels of the largest disc inside the mask."""
    from scipy.ndimage import distance_transform_edt

    return 2 * float(distance_transform_edt(np.pad(mask, 1)).max()) - 1


def _side(size: ImageSize) -> float:
    """Side of a square with as many pixels."""
    return math.sqrt(size[0] * size[1])
