"""Intervals by the bootstrap, and the protocol's means over classes, parts and seeds."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ahl._common.randomness import numpy_generator
from ahl.benchmark.results import Record

REPLICATES = 1000
LEVEL = 0.95


def image_counts(names: Sequence[str], replicates: int = REPLICATES) -> NDArray[np.float32]:
    """How often each image is in each resampled test: Poisson(1), drawn for the image's name.

    The same image has the same counts in every cell, so that seeds which share test images are
    resampled together (else their mean would look too certain), and methods are compared on the
    same samples.

    Args:
        names: N images.
        replicates: B.

    Returns:
        (B, N) counts.
    """
    return np.stack([_counts(name, replicates) for name in names], axis=1)


@lru_cache(maxsize=100_000)
def _counts(name: str, replicates: int) -> NDArray[np.uint8]:
    return numpy_generator(0, "bootstrap", name).poisson(1.0, replicates).astype(np.uint8)


def auroc_replicates(
    labels: NDArray[np.int64], scores: NDArray[np.float64], counts: NDArray[np.float32]
) -> NDArray[np.float64]:
    """AUROC of resampled tests.

    Args:
        labels: (N,) 0 or 1, both there.
        scores: (N,) finite.
        counts: (B, N) from `image_counts`.

    Returns:
        (B,) values in 0..1; not a number where a sample has no normal image or no anomaly.
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
    """Percentile interval of bootstrap replicates; those without a value do not count."""
    tail = (1 - level) / 2
    low, high = np.nanquantile(values, [tail, 1 - tail])
    return float(low), float(high)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A method's figure on a dataset in one setting.

    Attributes:
        mean: over the seeds, of each seed's mean over classes (hard setting) and parts.
        deviation: standard deviation over the seeds (0 for one).
        low, high: 95 % bootstrap interval of the mean over the test images, None without scores.
        seeds: how many.
        cells: how many records stand behind it.
        seconds: mean of a cell.
        others: means of the further figures, None where no cell has them.
    """

    mean: float
    deviation: float
    low: float | None
    high: float | None
    seeds: int
    cells: int
    seconds: float
    others: Mapping[str, float | None]


OTHERS = ("auroc_seen", "auroc_unseen", "average_precision", "fpr95")


def summarise(records: Sequence[Record], replicates: Mapping[str, NDArray[np.float64]]) -> Figure:
    """Sum up the records of one method on one dataset, setting and M.

    Args:
        records: at least one.
        replicates: bootstrap AUROCs by the records' keys, where there are any.
    """
    by_seed: dict[int, list[float]] = defaultdict(list)
    for record in records:
        by_seed[record.seed].append(record.auroc)
    means = [statistics.mean(values) for values in by_seed.values()]
    low = high = None
    if all(record.key in replicates for record in records):
        per_seed: dict[int, list[NDArray[np.float64]]] = defaultdict(list)
        for record in records:
            per_seed[record.seed].append(replicates[record.key])
        low, high = interval(
            np.mean([np.mean(values, axis=0) for values in per_seed.values()], axis=0)
        )
    return Figure(
        mean=statistics.mean(means),
        deviation=statistics.stdev(means) if len(means) > 1 else 0.0,
        low=low,
        high=high,
        seeds=len(means),
        cells=len(records),
        seconds=statistics.mean(record.seconds for record in records),
        others={name: _mean(getattr(record, name) for record in records) for name in OTHERS},
    )


def mean_ranks(table: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Mean rank of each method over the columns where all methods have a figure; 1 is best.

    Args:
        table: figures by column, then by method.

    Returns:
        mean ranks by method (ties share theirs); empty without a common column.
    """
    from scipy.stats import rankdata

    methods = sorted({method for column in table.values() for method in column})
    full = [column for column in table.values() if set(column) == set(methods)]
    if not full:
        return {}
    ranks = [rankdata([-column[method] for method in methods]) for column in full]
    return dict(zip(methods, map(float, np.mean(ranks, axis=0)), strict=True))


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.mean(known) if known else None
