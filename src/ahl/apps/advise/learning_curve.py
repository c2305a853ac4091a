"""What more labelled defects bring, and what a kind of defect that was never shown costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from typing import Literal

import numpy as np

from ahl._common.callbacks import Callback
from ahl._common.randomness import numpy_generator
from ahl.apps.advise.figures import Figure
from ahl.apps.advise.labels import Verdict
from ahl.apps.advise.left_out import FOLDS, Progress, deal_folds
from ahl.apps.advise.ranking import Flags, Indices, Ranking, RankingSum
from ahl.apps.advise.trials import Trials

MORE = 5
"""Labelled defects that might be added."""

WORTH = 0.005
"""AUROC that they must surely bring, or surely not, for a yes or a no."""

MOST_CLASSES = 6
"""Classes that are left out in turn at most, the largest ones."""

_COUNTS = (1, 2, 5, 10, 20, 50)
_FEW = 2  # up to so many, which defects were drawn matters most: they are drawn twice


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """How well so many labelled defects do.

    Attributes:
        anomalies: labelled defects trained on (where classes differ in size, their mean); 0 for
            good images alone.
        auroc: on left-out images.
        trainings: how many it is the mean of.
    """

    anomalies: int
    auroc: Figure
    trainings: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KindFound:
    """One class as a known and as a new kind.

    Attributes:
        class_name: the class.
        count: its images.
        new: AUROC where no image of the class was in training.
        known: where others of its images were; None where there are none.
    """

    class_name: str
    count: int
    new: Figure
    known: Figure | None


@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """More labels, and other kinds.

    Attributes:
        left_out: what each detector left out: whole classes, or images where there is one class.
        points: in order of the number of labels.
        doubling: what twice the labels brought, from half of them to all; None if too few.
        five_more: by the same rate; None likewise.
        verdict: whether five more would help.
        kinds: the classes left out; empty where images are.
        new: AUROC over them as new kinds; None likewise.
        known: as known kinds.
        price: how much lower a new kind is found than a known one.
    """

    left_out: Literal["classes", "images"]
    points: tuple[CurvePoint, ...]
    doubling: Figure | None
    five_more: Figure | None
    verdict: Verdict
    kinds: tuple[KindFound, ...]
    new: Figure | None
    known: Figure | None
    price: Figure | None


@dataclass(frozen=True, eq=False)
class _Split:
    """Labelled defects to draw from, good images to train on, and what is tested."""

    pool: Indices
    normals: Indices
    tested: Indices


def measure_curve(
    trials: Trials, known: Ranking, *, quick: bool, callback: Callback
) -> LearningCurve | None:
    """Train on few and on many labelled defects, and test on what was left out.

    Args:
        trials: the images.
        known: of all images, by detectors of the first draw of folds that trained on the others.
        quick: measure half of the labels and all of them only.
        callback: receives progress.

    Returns:
        the curve; None where no defect can be left out.
    """
    classes = _left_out_classes(trials)
    splits = _by_class(trials, classes) if len(classes) > 1 else _by_image(trials)
    splits = [split for split in splits if len(split.pool) and trials.anomalous[split.tested].any()]
    if not splits:
        return None
    sizes = np.array([len(split.pool) for split in splits])
    half = np.maximum(sizes // 2, 1)
    steps = [np.full(len(splits), m) for m in _COUNTS if not quick and m <= 0.75 * half.min()]
    steps += [half] if sizes.min() > 1 else []
    if len(classes) > 1:
        steps.append(sizes)
    draws = [2 if step.max() <= _FEW and not quick else 1 for step in steps]
    progress = Progress("learning curve, trainings", (sum(draws) + 1) * len(splits), callback)
    measured = [(0, _measure(trials, splits, np.zeros_like(sizes), 1, progress), len(splits))]
    for step, count in zip(steps, draws, strict=True):
        ranking = _measure(trials, splits, step, count, progress)
        measured.append((round(step.mean()), ranking, count * len(splits)))
    if len(classes) <= 1:
        measured.append((round(sizes.mean()), known, len(splits)))
    points = [
        CurvePoint(anomalies=anomalies, auroc=figure, trainings=trainings)
        for anomalies, ranking, trainings in measured
        if (figure := ranking.figure()) is not None
    ]
    doubling = five = None
    if sizes.min() > 1:
        gained = measured[-1][1].minus(measured[-2][1])
        doubling = gained and gained.times(1 / float(np.log2(sizes / half).mean()))
        labels = int(trials.anomalous.sum())
        five = doubling and doubling.times(log2((labels + MORE) / labels))
    everything = measured[-1][1]
    some = np.isin([sample.class_name for sample in trials.samples], classes)
    several = len(classes) > 1
    return LearningCurve(
        left_out="classes" if several else "images",
        points=tuple(points),
        doubling=doubling,
        five_more=five,
        verdict=_verdict(five),
        kinds=tuple(_kinds(trials, classes, everything, known)) if several else (),
        new=everything.figure() if several else None,
        known=known.figure(some),
        price=known.minus(everything, some) if several else None,
    )


def _verdict(five: Figure | None) -> Verdict:
    if five is None or five.low < WORTH <= five.high:
        return "cannot tell"
    return "yes" if five.low >= WORTH else "no"


def _left_out_classes(trials: Trials) -> list[str]:
    sizes = {name: int(trials.of_class(name).sum()) for name in trials.classes}
    return sorted(sizes, key=lambda name: (-sizes[name], name))[:MOST_CLASSES]


def _by_class(trials: Trials, classes: Sequence[str]) -> list[_Split]:
    folds = deal_folds(trials, 0)
    splits = []
    for turn, name in enumerate(classes):
        tested = trials.of_class(name) | (~trials.anomalous & (folds == turn % FOLDS))
        splits.append(_split(trials, tested))
    return splits


def _by_image(trials: Trials) -> list[_Split]:
    folds = deal_folds(trials, 0)
    return [_split(trials, folds == fold) for fold in range(FOLDS)]


def _split(trials: Trials, tested: Flags) -> _Split:
    # Copies of what is tested do not train, in whatever folder they lie.
    trained = ~tested & ~np.isin(trials.groups, trials.groups[tested])
    return _Split(
        pool=np.flatnonzero(trained & trials.anomalous),
        normals=np.flatnonzero(trained & ~trials.anomalous),
        tested=np.flatnonzero(tested),
    )


def _measure(
    trials: Trials, splits: Sequence[_Split], counts: Indices, draws: int, progress: Progress
) -> Ranking:
    """Rank what each split tests, by detectors of so many defects of its pool."""
    total = RankingSum(trials.anomalous)
    for number, (split, count) in enumerate(zip(splits, counts, strict=True)):
        for draw in range(draws):
            random = numpy_generator(trials.seed, "advice", "curve", number, draw)
            drawn = np.sort(random.permutation(split.pool)[: int(count)])
            scoring = trials.labelled if count else trials.memory_only
            total.add(split.tested, scoring(np.concatenate([split.normals, drawn]), split.tested))
            progress.step()
    return total.ranking()


def _kinds(trials: Trials, classes: Sequence[str], new: Ranking, known: Ranking) -> list[KindFound]:
    kinds = []
    for name in classes:
        members = trials.of_class(name)
        figure = new.figure(members)
        if figure is not None:
            count = int(members.sum())
            as_known = known.figure(members) if count > 1 else None
            kinds.append(KindFound(class_name=name, count=count, new=figure, known=as_known))
    return kinds
