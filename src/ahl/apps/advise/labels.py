"""Advice on labels: the gain from them and from more, the loss on new kinds, and suspects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from typing import Literal

import numpy as np

from ahl._common.types import Sample
from ahl.apps.advise.figures import Figure, Flags, Indices, Ranking, RankingSum, Verdict, verdict_on
from ahl.apps.advise.trials import FOLDS, Progress, Trials, deal_folds

LOOK_AGAIN = 0.3
"""Smallest share of the other label's images that an image passes to be listed as a suspect."""

LOOKS_WRONG = 0.5
"""Share above which it is more like the other label than like its own."""

MOST_SUSPECTS = 10
"""Most suspects that are listed."""

MORE = 5
"""Number of further labelled defects whose worth is estimated."""

WORTH = 0.005
"""Gain in AUROC from these above or below which the whole interval lies for a yes or a no."""

MOST_CLASSES = 6
"""Most classes that are held out in turn: the largest ones."""

_COUNTS = (1, 2, 5, 10, 20, 50)
_Split = tuple[Indices, Indices, Indices]
"""Labelled defects to draw from, good images to train on, and images to test."""

_FEW = 2  # up to so many, which defects were drawn matters most: they are drawn twice


@dataclass(frozen=True, kw_only=True)
class LabelAdvice:
    """Gain from labelled defects, on images that were held out.

    Attributes:
        labelled: AUROC of detectors that trained on the labels.
        memory_only: AUROC of the distance from good images' patches, on the same images.
        gain: difference of the two.
        verdict: "yes" if the labels help.
        anomalies, normals: how many were tested.
    """

    labelled: Figure
    memory_only: Figure
    gain: Figure
    verdict: Verdict
    anomalies: int
    normals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """An image that resembles the other label, by detectors that did not train on it.

    Attributes:
        name: of the image.
        class_name: its label.
        passed: share of the images of the other label, held out with it, that it lies beyond: the
            defects that a good image outscores, or the good images that outscore a defect. The
            mean over two kinds of detector.
        views: that share by each kind: the labelled detector, and a linear classifier.
        looks_wrong: True if `passed` is above `LOOKS_WRONG`.
    """

    name: str
    class_name: str
    passed: float
    views: tuple[float, float]
    looks_wrong: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """AUROC with so many labelled defects.

    Attributes:
        anomalies: labelled defects trained on (where classes differ in size, their mean); 0 for
            good images alone.
        auroc: on held-out images.
        trainings: number of trainings that it is the mean of.
    """

    anomalies: int
    auroc: Figure
    trainings: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KindFound:
    """One class of defects as a known and as a new kind.

    Attributes:
        class_name: of the class.
        count: number of its images.
        new: AUROC where no image of the class was in training.
        known: AUROC where other images of the class were; None if it has only one.
    """

    class_name: str
    count: int
    new: Figure
    known: Figure | None


@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """AUROC against the number of labels, and on kinds that were never shown.

    Attributes:
        left_out: what each detector left out: whole classes, or images if there is one class.
        points: in order of the number of labels.
        doubling: gain from twice the labels, from half of them to all; None if too few.
        five_more: gain from `MORE` labels at the same rate; None if too few.
        verdict: "yes" if five more would help.
        kinds: the classes left out; empty where images are.
        new: AUROC over them as new kinds; None where images are left out.
        known: AUROC over them as known kinds.
        price: AUROC that is lost on a new kind; None where images are left out.
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


def compare_labels(labelled: Ranking, memory_only: Ranking) -> LabelAdvice | None:
    """Compare labels with good images alone; None where nothing could be tested."""
    gain = labelled.minus(memory_only)
    one, other = labelled.figure(), memory_only.figure()
    if gain is None or one is None or other is None:
        return None
    tested = ~np.isnan(labelled.shares)
    return LabelAdvice(
        labelled=one,
        memory_only=other,
        gain=gain,
        verdict=verdict_on(gain),
        anomalies=int((tested & labelled.anomalous).sum()),
        normals=int((tested & ~labelled.anomalous).sum()),
    )


def find_suspects(
    samples: Sequence[Sample], labelled: Ranking, linear: Ranking
) -> tuple[tuple[Suspect, ...], dict[str, int]]:
    """Find images that look mislabelled, the likeliest first.

    Two kinds of detector see an image differently; where both err in the same direction, the label
    is the likelier cause.

    Args:
        samples: the images.
        labelled: their ranking by the labelled detectors.
        linear: their ranking by linear classifiers.

    Returns:
        the first `MOST_SUSPECTS`, and how many there are in each class that has any.
    """
    views = np.stack([labelled.shares, linear.shares])
    views = np.where(labelled.anomalous, 1 - views, views)
    passed = np.nan_to_num(views.mean(axis=0))
    order = np.argsort(-passed, kind="stable")
    found = [int(index) for index in order if passed[index] >= LOOK_AGAIN]
    return tuple(
        Suspect(
            name=samples[index].name,
            class_name=samples[index].class_name,
            passed=float(passed[index]),
            views=(float(views[0, index]), float(views[1, index])),
            looks_wrong=bool(passed[index] > LOOKS_WRONG),
        )
        for index in found[:MOST_SUSPECTS]
    ), dict(sorted(Counter(samples[index].class_name for index in found).items()))


def measure_curve(trials: Trials, known: Ranking, *, quick: bool) -> LearningCurve | None:
    """Train on few and on many labelled defects, and test on held-out images.

    Args:
        trials: the images.
        known: out-of-fold ranking of all images, from the first draw of folds.
        quick: measure none, half and all of the labels only.

    Returns:
        the curve; None where no defect can be left out.
    """
    names = np.array([sample.class_name for sample in trials.samples])
    counts = Counter(names[trials.anomalous].tolist())
    classes = sorted(counts, key=lambda name: (-counts[name], name))[:MOST_CLASSES]
    several = len(classes) > 1
    splits = _splits(trials, [names == name for name in classes] if several else [])
    if not splits:
        return None
    most = trials.setup.anomalies or counts.total()
    sizes = np.array([min(len(pool), most) for pool, _, _ in splits])
    half = np.maximum(sizes // 2, 1)
    steps = [np.full(len(splits), m) for m in _COUNTS if not quick and m <= 0.75 * half.min()]
    steps += [half] if sizes.min() > 1 else []
    steps += [sizes] if several else []
    draws = [1, *(2 if step.max() <= _FEW and not quick else 1 for step in steps)]
    total = sum(draws) * len(splits)
    progress = Progress("learning curve, trainings", total, trials.setup.callback)
    measured = [
        (round(step.mean()), _measure(trials, splits, step, times, progress), times * len(splits))
        for step, times in zip([np.zeros_like(sizes), *steps], draws, strict=True)
    ]
    if not several:
        measured.append((round(sizes.mean()), known, len(splits)))
    everything = measured[-1][1]
    gained = everything.minus(measured[-2][1]) if sizes.min() > 1 else None
    doubling = gained and gained.times(1 / float(np.log2(sizes / half).mean()))
    trained = min(most, counts.total())
    five = doubling and doubling.times(log2((trained + MORE) / trained))
    some = np.isin(names, classes)
    return LearningCurve(
        left_out="classes" if several else "images",
        points=tuple(
            CurvePoint(anomalies=anomalies, auroc=figure, trainings=trainings)
            for anomalies, ranking, trainings in measured
            if (figure := ranking.figure()) is not None
        ),
        doubling=doubling,
        five_more=five,
        verdict=verdict_on(five, above=WORTH, below=WORTH) if five else "cannot tell",
        kinds=tuple(
            KindFound(
                class_name=name,
                count=counts[name],
                new=figure,
                known=known.figure(names == name) if counts[name] > 1 else None,
            )
            for name in classes
            if several and (figure := everything.figure(names == name)) is not None
        ),
        new=everything.figure() if several else None,
        known=known.figure(some),
        price=known.minus(everything, some) if several else None,
    )


def _splits(trials: Trials, classes: Sequence[Flags]) -> list[_Split]:
    """Hold out each class with a share of the good images, or each fold if there are no classes.

    Copies of what is tested do not train, whatever folder they are in.
    """
    folds = deal_folds(trials, 0)
    left_out = [folds == fold for fold in range(FOLDS)]
    if classes:
        left_out = [
            of_class | (~trials.anomalous & (folds == turn % FOLDS))
            for turn, of_class in enumerate(classes)
        ]
    splits = []
    for tested in left_out:
        trained = ~tested & ~np.isin(trials.groups, trials.groups[tested])
        pool = np.flatnonzero(trained & trials.anomalous)
        if len(pool) and trials.anomalous[tested].any():
            normals = np.flatnonzero(trained & ~trials.anomalous)
            splits.append((pool, normals, np.flatnonzero(tested)))
    return splits


def _measure(
    trials: Trials, splits: Sequence[_Split], counts: Indices, draws: int, progress: Progress
) -> Ranking:
    """Rank the images that each split tests, by detectors trained on `counts` of its defects."""
    total = RankingSum(trials.anomalous)
    for number, ((pool, normals, tested), count) in enumerate(zip(splits, counts, strict=True)):
        for draw in range(draws):
            random = trials.random("curve", number, draw)
            drawn = np.sort(random.permutation(pool)[: int(count)])
            score = trials.labelled if count else trials.memory_only
            total.add(tested, score(np.concatenate([normals, drawn]), tested))
            progress.step()
    return total.ranking()
