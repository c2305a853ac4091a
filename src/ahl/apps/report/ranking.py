"""What the picture of an evaluation says: groups, figures and the worst mistakes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ahl._common.types import ScoredSample
from ahl.scoring.metrics import auroc


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The images of one class.

    Attributes:
        name: class name.
        kind: `"normal"`, `"seen"` or `"unseen"`.
        samples: its images, at least one, in the order given.
        auroc: of the class against all normal images, in [0, 1]; None without normals and
            for the normal images themselves.
    """

    name: str
    kind: str
    samples: tuple[ScoredSample, ...]
    auroc: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One image that ranks where it should not.

    Attributes:
        scored: the image.
        standing: its place among the other kind, in words.
    """

    scored: ScoredSample
    standing: str


def kind_of(scored: ScoredSample) -> str:
    """Return `"normal"`, `"seen"` or `"unseen"`."""
    if not scored.sample.is_anomaly:
        return "normal"
    return "seen" if scored.seen else "unseen"


def usable(scored: Iterable[ScoredSample]) -> list[ScoredSample]:
    """Keep the images whose score is finite, in an order that the caller's cannot change."""
    finite = (one for one in scored if math.isfinite(one.score))
    return sorted(finite, key=lambda one: (one.score, one.sample.name))


def separation(normals: Sequence[ScoredSample], anomalies: Sequence[ScoredSample]) -> float | None:
    """AUROC of some anomalies against some normals, in [0, 1]; None if either is missing."""
    labels = [0] * len(normals) + [1] * len(anomalies)
    return auroc(labels, [one.score for one in (*normals, *anomalies)])


def group(scored: Sequence[ScoredSample]) -> list[Group]:
    """Group by class: normal, then seen, then unseen; within these, best AUROC first.

    A class with both seen and unseen images makes two groups.
    """
    members: dict[tuple[str, str], list[ScoredSample]] = {}
    for one in scored:
        members.setdefault((kind_of(one), one.sample.class_name), []).append(one)
    normals = [one for one in scored if not one.sample.is_anomaly]
    groups = [
        Group(
            name=name,
            kind=kind,
            samples=tuple(samples),
            auroc=None if kind == "normal" else separation(normals, samples),
        )
        for (kind, name), samples in members.items()
    ]
    order = ("normal", "seen", "unseen")
    return sorted(groups, key=lambda one: (order.index(one.kind), -(one.auroc or 0.0), one.name))


def line_of_normals(scored: Iterable[ScoredSample]) -> float | None:
    """Score that at most 5 % of the normal images exceed; None without normal images."""
    normals = [one.score for one in scored if not one.sample.is_anomaly]
    return float(np.quantile(normals, 0.95, method="higher")) if normals else None


def worst_misses(scored: Sequence[ScoredSample], count: int) -> list[Mistake]:
    """The `count` anomalies with the lowest scores, lowest first."""
    normals = np.array([one.score for one in scored if not one.sample.is_anomaly])
    anomalies = [one for one in usable(scored) if one.sample.is_anomaly]
    return [
        Mistake(scored=one, standing=_standing(normals - one.score, "below", "normal image"))
        for one in anomalies[:count]
    ]


def worst_false_alarms(scored: Sequence[ScoredSample], count: int) -> list[Mistake]:
    """The `count` normal images with the highest scores, highest first."""
    anomalies = np.array([one.score for one in scored if one.sample.is_anomaly])
    normals = [one for one in usable(scored) if not one.sample.is_anomaly]
    return [
        Mistake(scored=one, standing=_standing(one.score - anomalies, "above", "anomaly"))
        for one in normals[::-1][:count]
    ]


def share(part: int, whole: int) -> str:
    """A share in per cent that says 0 and 100 only where it is so."""
    percent = 100 * part / whole
    if 0 < part < whole and not 0.5 <= percent <= 99.5:
        return "< 1 %" if percent < 50 else "> 99 %"
    return f"{percent:.0f} %"


def _standing(excess: np.ndarray, wrong: str, other: str) -> str:
    """Words for how many of the others this one is on the wrong side of (`excess` > 0)."""
    if not len(excess):
        return ""
    plural = {"anomaly": "anomalies"}.get(other, other + "s")
    beaten, level = int((excess > 0).sum()), int((excess == 0).sum())
    for count, verb in ((beaten, wrong), (level, "equals")):
        if count:
            part = "all" if count == len(excess) else f"{share(count, len(excess))} of"
            return f"{verb} {part} {plural}"
    return f"{'above' if wrong == 'below' else 'below'} every {other}"
