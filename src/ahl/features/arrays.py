"""Feature maps that a caller brings along, as a table like the one images make."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike

from ahl._common.errors import DataError
from ahl.features.extractor import HALF_MAXIMUM
from ahl.features.maps import FeatureLayout
from ahl.features.table import FeatureTable

Maps = ArrayLike | Sequence[ArrayLike]
"""Feature maps (N, C, H, W), or a sequence of such, one a scale, largest first."""


def table_of_maps(maps: Maps) -> FeatureTable:
    """Feature maps as a table of float16 rows, what the image path makes too.

    Raises:
        DataError: if they are no maps, do not fit together or hold values beyond float16.
    """
    try:
        array = np.asarray(maps, dtype=np.float32)
        scales = [array] if array.ndim == 4 else list(array)
    except ValueError:  # scales of different sizes make no one array
        scales = [np.asarray(scale, dtype=np.float32) for scale in maps]  # type: ignore[union-attr]
    if any(scale.ndim != 4 or 0 in scale.shape[1:] for scale in scales):
        raise DataError("Feature maps must be (N, C, H, W), or a sequence of such, one a scale.")
    if len({(len(scale), scale.shape[1]) for scale in scales}) != 1:
        raise DataError("All scales need the same number of images and channels.")
    if not all((np.abs(scale) <= HALF_MAXIMUM).all() for scale in scales):
        raise DataError(
            f"The feature maps hold values that are not finite or beyond {HALF_MAXIMUM:g}, the "
            "largest float16: scale them down."
        )
    tensors = [torch.from_numpy(scale) for scale in scales]
    layout = FeatureLayout.of(tensors)
    return FeatureTable.of_rows(layout, layout.join(tensors).half().numpy())
