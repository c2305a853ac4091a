"""Bootstrap intervals of AUROC over the test images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ahl._common.randomness import numpy_generator

REPLICATES = 1000
LEVEL = 0.95


def image_counts(names: Sequence[str], replicates: int = REPLICATES) -> NDArray[np.uint8]:
    """Counts of each image in each bootstrap sample: Poisson(1), seeded by the image's name.

    An image has the same counts in every trial: seeds that share test images are resampled
    together, without which the interval of their mean would be too narrow, and methods are
    compared on the same samples.

    Args:
        names: names of N images.
        replicates: number B of bootstrap samples.

    Returns:
        (B, N) counts.
    """
    return np.stack([_counts(name, replicates) for name in names], axis=1)


@lru_cache(maxsize=100_000)
def _counts(name: str, replicates: int) -> NDArray[np.uint8]:
    return numpy_generator(0, "bootstrap", name).poisson(1.0, replicates).astype(np.uint8)


def auroc_replicates(
    labels: NDArray[np.int64], scores: NDArray[np.float64], counts: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """AUROC of each bootstrap sample.

    Args:
        labels: (N,) 0 or 1, both present.
        scores: (N,) finite.
        counts: (B, N) from `image_counts`.

    Returns:
        (B,) values in 0..1; NaN where a sample has no normal image or no anomaly.
    """
    normal, anomalous = labels == 0, labels == 1
    # How many normals each anomaly outscores, as a matrix product with the counts.
    difference = scores[anomalous][:, None] - scores[normal]
    wins = (np.sign(difference) + 1).astype(np.float32) / 2
    of_anomalies = counts[:, anomalous].astype(np.float32)
    of_normals = counts[:, normal].astype(np.float64)
    won = np.einsum("bn,bn->b", (of_anomalies @ wins).astype(np.float64), of_normals)
    pairs = of_anomalies.sum(axis=1, dtype=np.float64) * of_normals.sum(axis=1)
    values = np.full(len(won), np.nan)
    np.divide(won, pairs, out=values, where=pairs > 0)
    return values


def interval(values: NDArray[np.float64], level: float = LEVEL) -> tuple[float, float]:
    """Percentile interval of bootstrap replicates; NaN are ignored."""
    tail = (1 - level) / 2
    low, high = np.nanquantile(values, [tail, 1 - tail])
    return float(low), float(high)
