"""Evenly spaced choices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def evenly_spaced(count: int, most: int) -> NDArray[np.int64]:
    """Indices of at most `most` of `count` things, the first and the last among them."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)
