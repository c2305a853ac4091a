"""Evenly spaced choices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def evenly_spaced(count: int, most: int) -> NDArray[np.int64]:
    """At most `most` evenly spaced indices from 0 to `count - 1`, with both ends if `most` > 1."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)
