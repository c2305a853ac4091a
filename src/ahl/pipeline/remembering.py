"""False alarms in a model's memory of normal patches, and what that changes of what heads see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ahl.evidence.coreset import patches_of
from ahl.features.maps import FeatureMaps
from ahl.model.exemplars import Exemplars, half_rows
from ahl.model.trained import TrainedModel


def nearer_rows(model: TrainedModel, both: Exemplars, alarms: NDArray[np.int64]) -> Tensor:
    """Rows whose memory evidence counts the false alarms as remembered, but for their own."""
    memory, layout = model.preparation.memory, model.detector.layout
    if memory is None:
        return both.rows
    rows = both.rows.float()
    maps = layout.split(rows)
    plain = plain_maps(model, rows)
    for alarm in alarms:
        alone = replace(memory, patches=own_patches(model, rows[alarm : alarm + 1]))
        for scale, evidence in zip(maps, alone.evidence(plain), strict=True):
            evidence[alarm] = float("inf")  # its own patches do not count
            scale[:, -1:] = torch.minimum(scale[:, -1:], evidence)
    return half_rows(rows)


def plain_maps(model: TrainedModel, rows: Tensor) -> FeatureMaps:
    """Maps (N, C, H_s, W_s) a scale, as the memory knows them, of rows that the heads see."""
    appended, factor = model.preparation.appended, model.preparation.factor
    maps = model.detector.layout.split(rows.float())
    return tuple(scale[:, : scale.shape[1] - appended] / factor for scale in maps)


def own_patches(model: TrainedModel, rows: Tensor) -> FeatureMaps:
    """All patches (P, C) a scale of rows, as a memory keeps them."""
    return tuple(
        patches_of(scale).flatten(0, 1).half().float() for scale in plain_maps(model, rows)
    )
