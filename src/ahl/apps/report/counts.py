"""The figures that the report draws and talks of, each with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ahl._common.intervals import auroc_interval, share_interval
from ahl._common.types import GOOD, ScoredSample
from ahl.apps.report.ranking import Group, group, kind_of, separation, usable
from ahl.apps.report.score_plots import Separation
from ahl.scoring.evaluation import Evaluation

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A share of some images.

    Attributes:
        hits: how many of them.
        total: how many there are.
        low: lower end of the exact 95 % interval.
        high: upper end.
    """

    hits: int
    total: int
    low: float
    high: float


def make_rate(hits: int, total: int) -> Rate:
    """A share with its interval."""
    low, high = share_interval(hits, total)
    return Rate(hits=hits, total=total, low=float(low), high=float(high))


@dataclass(frozen=True, kw_only=True)
class ClassRow:
    """One class of the test.

    Attributes:
        group: its images.
        separation: against the good images; None for these themselves, or without them.
        called: how many are called anomalous; None without a threshold.
    """

    group: Group
    separation: Separation | None
    called: Rate | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Counts:
    """What an evaluation comes to.

    Attributes:
        normals: (N,) scores of the good images.
        seen: (S,) of anomalies of classes seen in training.
        unseen: (U,) of the others.
        rows: by class: good, then seen, then unseen ones, best first.
        separations: of all anomalies, and of the seen and the unseen where there are both.
        found: anomalies above the threshold; None without one, or without anomalies.
        alarms: good images above it, likewise.
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
        """Whether there are good images and anomalies to compare."""
        return bool(len(self.normals) and len(self.anomalies))

    def separation(self, kind: str) -> Separation | None:
        """That of one kind: `"all"`, `"seen"` or `"unseen"`."""
        return next((one for one in self.separations if one.kind == kind), None)


def count(result: Evaluation) -> Counts:
    """Sum an evaluation up for its report."""
    scored = usable(result.scored)
    normals, seen, unseen = (
        [one for one in scored if kind_of(one) == kind] for kind in ("normal", "seen", "unseen")
    )
    kinds = [("all anomalies", "all", [*seen, *unseen])]
    if seen and unseen:
        kinds += [("seen classes", "seen", seen), ("unseen classes", "unseen", unseen)]
    found = [_separation(normals, some, name, kind) for name, kind, some in kinds]
    rows = tuple(
        ClassRow(
            group=one,
            separation=None
            if one.kind == "normal"
            else _separation(normals, one.samples, one.name, one.kind),
            called=_called(one.samples, result.threshold),
        )
        for one in group(scored)
    )
    return Counts(
        normals=_scores(normals),
        seen=_scores(seen),
        unseen=_scores(unseen),
        rows=rows,
        separations=tuple(one for one in found if one is not None),
        found=_called([*seen, *unseen], result.threshold),
        alarms=_called(normals, result.threshold),
    )


def weakest(counts: Counts) -> ClassRow | None:
    """The class of anomalies that is found least; None where there are not two to compare."""
    rows = [row for row in counts.rows if row.group.name != GOOD]
    if len(rows) < 2:
        return None
    shares = [row.called.hits / row.called.total for row in rows if row.called is not None]
    if len(shares) < len(rows):
        rows = [row for row in rows if row.separation is not None]
        shares = [row.separation.auroc for row in rows if row.separation is not None]
    return rows[int(np.argmin(shares))] if rows else None


def _separation(
    normals: Sequence[ScoredSample], anomalies: Sequence[ScoredSample], name: str, kind: str
) -> Separation | None:
    value = separation(normals, anomalies)
    if value is None:
        return None
    low, high = auroc_interval(value, len(normals), len(anomalies))
    return Separation(name=name, kind=kind, auroc=value, low=low, high=high, count=len(anomalies))


def _called(some: Sequence[ScoredSample], threshold: float | None) -> Rate | None:
    if threshold is None or not some:
        return None
    return make_rate(sum(one.score > threshold for one in some), len(some))


def _scores(some: Sequence[ScoredSample]) -> Floats:
    return np.array([one.score for one in some], dtype=np.float64)
