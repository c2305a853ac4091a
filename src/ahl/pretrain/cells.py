"""Masks in pixels to labels of a feature map's cells."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from ahl.synthetic.groups import DEFECTIVE, SOUND

UNKNOWN: Final = -1
"""Label of cells that belong neither to the defect nor to what is sound."""

_FEWEST: Final = 0.02  # share of a cell's pixels that make it defective
_FEWEST_PIXELS: Final = 3


def cell_labels(masks: Tensor, grid: int) -> Tensor:
    """Label the cells of a square grid.

    A cell is defective where some of its pixels are; cells with a trace of a defect only, and
    those beside either, are left out: a network's view of a cell reaches beyond it.

    Args:
        masks: (N, S, S) integers, values as in `DrawnGroup.masks`.
        grid: cells along a side.

    Returns:
        (N, grid, grid) int64: -1 unknown, 0 sound, 1 defective.
    """
    side = masks.shape[-1]
    cells = functional.adaptive_avg_pool2d
    defective = (masks >= DEFECTIVE).float()
    share = cells(defective, grid)
    trace = cells((masks != SOUND).float(), grid) > 0
    fewest = max(_FEWEST, _FEWEST_PIXELS * grid * grid / side**2)
    hit = share >= min(fewest, 1.0)
    around = functional.max_pool2d((hit | trace).float(), 3, stride=1, padding=1) > 0
    return torch.where(hit, 1, torch.where(around, UNKNOWN, 0))
