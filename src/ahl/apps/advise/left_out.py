"""Folds of the labelled images, and what detectors say of the fold that they left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ahl._common.callbacks import Callback
from ahl._common.randomness import numpy_generator
from ahl.apps.advise.ranking import Indices, Ranking, RankingSum
from ahl.apps.advise.trials import Trials

FOLDS = 3
"""Shares that the images are dealt into: each detector trains on two thirds."""

Scoring = Callable[[Indices, Indices], NDArray[np.float64]]
"""Trains on the images of the first indices and scores those of the second."""


def deal_folds(trials: Trials, repeat: int) -> Indices:
    """(N,) the fold of each image: classes dealt out evenly, copies kept together.

    Args:
        trials: the images.
        repeat: number of the draw.
    """
    random = numpy_generator(trials.seed, "advice", "folds", repeat)
    members: dict[int, list[int]] = {}
    for index, group in enumerate(trials.groups):
        members.setdefault(int(group), []).append(index)
    by_class: dict[str, list[list[int]]] = {}
    for together in members.values():
        names = Counter(trials.samples[index].class_name for index in together)
        by_class.setdefault(min(names, key=lambda name: (-names[name], name)), []).append(together)
    folds = np.zeros(len(trials.samples), dtype=np.int64)
    turn = 0
    for name in sorted(by_class):
        for place in random.permutation(len(by_class[name])):
            folds[by_class[name][place]] = turn % FOLDS
            turn += 1
    return folds


def cross_fit(
    trials: Trials, scoring: Scoring, repeat: int, *, progress: Progress | None = None
) -> Ranking:
    """Rank every image by detectors that did not train on it.

    Args:
        trials: the images.
        scoring: how to train and score, a method of `trials`.
        repeat: number of the draw of the folds.
        progress: told of every training.
    """
    total = RankingSum(trials.anomalous)
    folds = deal_folds(trials, repeat)
    for fold in range(FOLDS):
        tested, trained = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if trials.anomalous[trained].any() and len(tested):
            total.add(tested, scoring(trained, tested))
        if progress is not None:
            progress.step()
    return total.ranking()


class Progress:
    """Counts the trainings of one stage.

    Args:
        stage: what it is called.
        total: how many there will be.
        callback: receives each.
    """

    def __init__(self, stage: str, total: int, callback: Callback) -> None:
        self._stage, self._total, self._callback, self._done = stage, total, callback, 0
        callback.on_stage(stage, 0, total)

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        self._callback.on_stage(self._stage, self._done, self._total)
