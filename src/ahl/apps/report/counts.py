"""Figures of an evaluation by kind and class, with intervals; the worst and the best images."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ahl._common.intervals import auroc_interval, share_interval
from ahl._common.types import ScoredSample
from ahl.scoring.evaluation import Evaluation
from ahl.scoring.metrics import auroc

Floats = NDArray[np.float64]

RATES: Final = (0.01, 0.02, 0.05, 0.1)
"""False-alarm rates at which the page gives the share of anomalies found."""

KINDS: Final = ("normal", "seen", "unseen")
"""Good images, anomalies of classes seen in training, and anomalies of others."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A share, `hits` of `total` images, with its exact 95 % interval."""

    hits: int
    total: int
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Separation:
    """AUROC of some anomalies against the good images, in [0, 1], with its 95 % interval.

    Attributes:
        name: of these anomalies.
        kind: `"seen"`, `"unseen"` or `"all"`.
        count: number of anomalies.
    """

    name: str
    kind: str
    auroc: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassRow:
    """One class of the test.

    Attributes:
        name: of the class.
        kind: one of `KINDS`; a class with both seen and unseen images makes two rows.
        scores: (n,) of its images, at least one.
        separation: from the good images; None for good images, or without any.
        called: share that is called anomalous; None without a threshold.
    """

    name: str
    kind: str
    scores: Floats
    separation: Separation | None
    called: Rate | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Counts:
    """Figures of a whole evaluation.

    Attributes:
        normals: (N,) scores of the good images.
        seen: (S,) of anomalies of classes seen in training.
        unseen: (U,) of the others.
        rows: by class: good, then seen, then unseen ones, best first.
        separations: of all anomalies, and of the seen and the unseen where there are both.
        found: anomalies above the threshold; None without one, or without anomalies.
        alarms: good images above it; None without a threshold, or without good images.
    """

    normals: Floats
    seen: Floats
    unseen: Floats
    rows: tuple[ClassRow, ...]
    separations: tuple[Separation, ...]
    found: Rate | None
    alarms: Rate | None

    @property
    def anomalies(self) -> Floats:
        """(S + U,) scores of all anomalies."""
        return np.concatenate([self.seen, self.unseen])

    @property
    def both(self) -> bool:
        """True if there are good images and anomalies to compare."""
        return bool(len(self.normals) and len(self.anomalies))

    def separation(self, kind: str) -> Separation | None:
        """The AUROC of one kind: `"all"`, `"seen"` or `"unseen"`."""
        return next((one for one in self.separations if one.kind == kind), None)


def count(result: Evaluation) -> Counts:
    """Compute the figures of an evaluation from its finite scores."""
    members: dict[tuple[str, str], list[float]] = {}
    for one in _usable(result.scored):
        members.setdefault((kind_of(one), one.sample.class_name), []).append(one.score)
    of_class = {place: np.array(scores) for place, scores in members.items()}
    normals, seen, unseen = (
        np.concatenate([np.zeros(0), *(s for (k, _), s in sorted(of_class.items()) if k == kind)])
        for kind in KINDS
    )
    rows = [
        ClassRow(
            name=name,
            kind=kind,
            scores=scores,
            separation=None if kind == "normal" else _separation(normals, scores, name, kind),
            called=_called(scores, result.threshold),
        )
        for (kind, name), scores in of_class.items()
    ]
    rows.sort(key=lambda row: (KINDS.index(row.kind), -separated(row), row.name))
    anomalies = np.concatenate([seen, unseen])
    compared = [_separation(normals, anomalies, "all anomalies", "all")]
    if len(seen) and len(unseen):
        compared.append(_separation(normals, seen, "seen classes", "seen"))
        compared.append(_separation(normals, unseen, "unseen classes", "unseen"))
    return Counts(
        normals=normals,
        seen=seen,
        unseen=unseen,
        rows=tuple(rows),
        separations=tuple(one for one in compared if one is not None),
        found=_called(anomalies, result.threshold),
        alarms=_called(normals, result.threshold),
    )


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """A threshold for a false-alarm rate on the tested good images, and what it would find.

    Attributes:
        rate: largest share of the good images above it.
        threshold: an image above it would be called anomalous.
        alarms: good images above it.
        found: anomalies above it.
    """

    rate: float
    threshold: float
    alarms: Rate
    found: Rate


def operating_points(counts: Counts) -> list[OperatingPoint]:
    """The points at `RATES`, by the images tested; none unless there are images of both kinds."""
    points = []
    ordered = np.sort(counts.normals)[::-1]
    for rate in RATES if counts.both else ():
        threshold = float(ordered[min(int(rate * len(ordered)), len(ordered) - 1)])
        alarms, found = (_called(one, threshold) for one in (counts.normals, counts.anomalies))
        assert alarms is not None
        assert found is not None
        points.append(OperatingPoint(rate=rate, threshold=threshold, alarms=alarms, found=found))
    return points


def separated(row: ClassRow) -> float:
    """AUROC of a class; 0 where there is none."""
    return row.separation.auroc if row.separation else 0.0


def kept_rows(counts: Counts, most: int) -> Sequence[ClassRow]:
    """The rows of the good images and of the classes with the lowest AUROCs, at most `most`."""
    worst = sorted(counts.rows, key=lambda row: (row.kind != "normal", separated(row)))
    kept = {id(row) for row in worst[:most]}
    return [row for row in counts.rows if id(row) in kept]


def weakest(counts: Counts) -> ClassRow | None:
    """The class of anomalies that is found least; None with fewer than two, or without figures."""
    rows = [row for row in counts.rows if row.kind != "normal"]
    if len(rows) < 2 or not (rows[0].called or rows[0].separation):
        return None

    def found(row: ClassRow) -> float:
        return row.called.hits / row.called.total if row.called else separated(row)

    return min(rows, key=found)


@dataclass(frozen=True, kw_only=True)
class RankedSample:
    """A tested image, and its rank among the images of the other kind, in words."""

    scored: ScoredSample
    standing: str


def worst_misses(scored: Sequence[ScoredSample], most: int) -> list[RankedSample]:
    """The anomalies with the lowest scores, lowest first."""
    return _ranked_anomalies(_usable(scored), most)


def best_hits(scored: Sequence[ScoredSample], most: int) -> list[RankedSample]:
    """The anomalies with the highest scores, highest first."""
    return _ranked_anomalies(_usable(scored)[::-1], most)


def _ranked_anomalies(ordered: Sequence[ScoredSample], most: int) -> list[RankedSample]:
    normals = np.array([one.score for one in ordered if not one.sample.is_anomaly])
    anomalies = [one for one in ordered if one.sample.is_anomaly]
    return [
        RankedSample(scored=one, standing=_standing(normals - one.score, "below", "normal image"))
        for one in anomalies[:most]
    ]


def worst_false_alarms(scored: Sequence[ScoredSample], most: int) -> list[RankedSample]:
    """The normal images with the highest scores, highest first."""
    ordered = _usable(scored)[::-1]
    anomalies = np.array([one.score for one in ordered if one.sample.is_anomaly])
    normals = [one for one in ordered if not one.sample.is_anomaly]
    return [
        RankedSample(scored=one, standing=_standing(one.score - anomalies, "above", "anomaly"))
        for one in normals[:most]
    ]


def kind_of(scored: ScoredSample) -> str:
    """The kind of a tested image, one of `KINDS`."""
    if not scored.sample.is_anomaly:
        return "normal"
    return "seen" if scored.seen else "unseen"


def share(part: int, whole: int) -> str:
    """A share in per cent; 0 and 100 only where it is exactly so."""
    percent = 100 * part / whole
    if 0 < part < whole and not 0.5 <= percent <= 99.5:
        return "< 1 %" if percent < 50 else "> 99 %"
    return f"{percent:.0f} %"


def _usable(scored: Iterable[ScoredSample]) -> list[ScoredSample]:
    """The images whose score is finite, sorted by score and name."""
    finite = (one for one in scored if math.isfinite(one.score))
    return sorted(finite, key=lambda one: (one.score, one.sample.name))


def _standing(excess: Floats, wrong: str, other: str) -> str:
    """The share of the other kind on whose wrong side an image is (`excess` > 0), in words."""
    if not len(excess):
        return ""
    plural = {"anomaly": "anomalies"}.get(other, other + "s")
    beaten, level = int((excess > 0).sum()), int((excess == 0).sum())
    for number, verb in ((beaten, wrong), (level, "equals")):
        if number:
            part = "all" if number == len(excess) else f"{share(number, len(excess))} of"
            return f"{verb} {part} {plural}"
    return f"{'above' if wrong == 'below' else 'below'} every {other}"


def _separation(normals: Floats, anomalies: Floats, name: str, kind: str) -> Separation | None:
    labels = np.repeat([0, 1], [len(normals), len(anomalies)])
    value = auroc(labels, np.concatenate([normals, anomalies]))
    if value is None:
        return None
    low, high = auroc_interval(value, len(normals), len(anomalies))
    return Separation(name=name, kind=kind, auroc=value, low=low, high=high, count=len(anomalies))


def _called(scores: Floats, threshold: float | None) -> Rate | None:
    if threshold is None or not len(scores):
        return None
    hits = int((scores > threshold).sum())
    low, high = share_interval(hits, len(scores))
    return Rate(hits=hits, total=len(scores), low=float(low), high=float(high))
