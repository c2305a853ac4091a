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
"""Fewest parts of normals from which their spread can be estimated."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Fold:
    """A fold of the training images, and the rest, on which its model trains.

    Attributes:
        samples: the training samples outside the fold, with the pseudo anomalies of its normals.
        normals: the fold's normals, at least one, each of a different part.
        anomalies: the fold's anomalies, each of a different part; may be empty.
    """

    samples: IndexedSet
    normals: Indices
    anomalies: Indices


def draw_folds(
    normals: int,
    anomalies: int,
    plan: Sequence[PseudoAnomaly],
    folds: int,
    *,
    seed: int,
    groups: Indices | None = None,
) -> tuple[Fold, ...]:
    """Assign the parts of normals and labelled anomalies to folds at random.

    Of the photographs of one part, all in one fold, a single one is scored, as they are not
    independent. If only one part has anomalies, it is in no fold, since a model needs one to train
    on; if fewer parts have anomalies than there are folds, each is in a fold of its own.

    Args:
        normals: number of normals, at the start of the training set.
        anomalies: number of labelled anomalies, behind them.
        plan: the pseudo anomalies, behind these.
        folds: number of folds, at most half the number of parts of normals; 0 for none.
        seed: seed of the draw.
        groups: (normals + anomalies,) equal numbers for photographs of one part; None if each shows
            a part of its own.

    Returns:
        the folds; none if the normals show fewer than `FEWEST_NORMALS` parts.
    """
    given = np.arange(normals + anomalies) if groups is None else groups
    numbers = _by_first(given)
    of_normal, of_anomaly = _by_first(given[:normals]), _by_first(given[normals:])
    parts = len(set(of_normal))
    if folds == 0 or parts < FEWEST_NORMALS:
        return ()
    random = numpy_generator(seed, "folds")
    folds = min(folds, parts // 2)
    fold_of_normal = (random.permutation(parts) % folds)[of_normal]
    anomalous_parts = len(set(of_anomaly))
    fold_of_anomaly = (random.permutation(anomalous_parts) % folds)[of_anomaly]
    if anomalous_parts == 1:
        fold_of_anomaly = np.full(anomalies, folds)
    # Where a part has both, all follow its anomalies.
    fold_of_part = np.empty(normals + anomalies, dtype=np.int64)
    fold_of_part[numbers[:normals]] = fold_of_normal
    fold_of_part[numbers[normals:]] = fold_of_anomaly
    fold_of = fold_of_part[numbers]
    fold_of_pseudo = fold_of[:normals][normals_of(plan)]
    # One photograph of each part, drawn after all else: parts of one are all themselves.
    order = random.permutation(normals + anomalies)
    stands = np.zeros(normals + anomalies, dtype=np.bool_)
    for kind in (order[order < normals], order[order >= normals]):
        stands[kind[np.unique(numbers[kind], return_index=True)[1]]] = True
    anomalous, first_pseudo = np.arange(normals + anomalies) >= normals, normals + anomalies
    drawn = tuple(
        Fold(
            samples=IndexedSet(
                normals=np.flatnonzero((fold_of != fold) & ~anomalous),
                anomalies=np.flatnonzero((fold_of != fold) & anomalous),
                pseudo=np.flatnonzero(fold_of_pseudo != fold) + first_pseudo,
            ),
            normals=np.flatnonzero((fold_of == fold) & ~anomalous & stands),
            anomalies=np.flatnonzero((fold_of == fold) & anomalous & stands),
        )
        for fold in range(folds)
    )
    # Parts that follow their anomalies may have left a fold, or all others, without normals.
    return tuple(one for one in drawn if len(one.normals) and len(one.samples.normals) > 1)


def _by_first(groups: Indices) -> Indices:
    """Renumber groups (N,) in the order of their first members."""
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    numbers: Indices = np.argsort(np.argsort(first))[inverse]
    return numbers
