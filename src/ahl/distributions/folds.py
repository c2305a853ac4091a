"""Folds of the training images, for out-of-fold scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ahl._common.randomness import numpy_generator
from ahl.distributions.episodes import Indices
from ahl.distributions.pseudo import PseudoAnomaly, normals_of
from ahl.distributions.training_set import IndexedSet

FEWEST_NORMALS = 10
"""Of fewer, the spread cannot be estimated."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Fold:
    """One share of the training images, and the rest, on which its model trains.

    Attributes:
        samples: the rest, with the pseudo anomalies made of its normals.
        normals: in the fold, at least one.
        anomalies: in the fold; may be empty.
    """

    samples: IndexedSet
    normals: Indices
    anomalies: Indices


def draw_folds(
    normals: int, anomalies: int, plan: Sequence[PseudoAnomaly], folds: int, *, seed: int
) -> tuple[Fold, ...]:
    """Share normals and labelled anomalies out at random, each in one fold.

    A single anomaly is in none, since a model needs one to train on; of fewer anomalies than
    folds, each is in a fold of its own.

    Args:
        normals: how many, at the start of the training set.
        anomalies: how many, behind them.
        plan: the pseudo anomalies behind those.
        folds: how many, at most one for every two normals; 0 for none.
        seed: of the draw.

    Returns:
        the folds; none with fewer than `FEWEST_NORMALS`.
    """
    if folds == 0 or normals < FEWEST_NORMALS:
        return ()
    random = numpy_generator(seed, "folds")
    folds = min(folds, normals // 2)
    fold_of_normal = random.permutation(normals) % folds
    fold_of_anomaly = random.permutation(anomalies) % folds
    if anomalies == 1:
        fold_of_anomaly = np.array([folds])
    fold_of_pseudo = fold_of_normal[normals_of(plan)]
    first_pseudo = normals + anomalies
    return tuple(
        Fold(
            samples=IndexedSet(
                normals=np.flatnonzero(fold_of_normal != fold),
                anomalies=np.flatnonzero(fold_of_anomaly != fold) + normals,
                pseudo=np.flatnonzero(fold_of_pseudo != fold) + first_pseudo,
            ),
            normals=np.flatnonzero(fold_of_normal == fold),
            anomalies=np.flatnonzero(fold_of_anomaly == fold) + normals,
        )
        for fold in range(folds)
    )
