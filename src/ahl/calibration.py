"""From several kinds of evidence to one image score.

The heads of a detector and the memory of normal patches score on scales of their own: summed as
they are, the one that happens to spread widest decides. Here each is measured in spreads of unseen
normals, and weighs as much as it lifts left-out anomalies above them; what is usual is asked of the
normals most like the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

from ahl.config import CalibrationConfig
from ahl.detectors import BaseDetector, HeadScores
from ahl.detectors.base import top_mean
from ahl.feature_maps import FeatureMaps
from ahl.memory import MEMORY
from ahl.neighbourhood import Neighbourhood

Evidence = dict[str, Tensor]
"""(N,) by name of a head, or `MEMORY`; higher = more anomalous."""

SMALLEST = 1e-6
"""Spread up to which evidence is constant: it is not divided by, and weighs nothing."""

_LARGEST = 1e30  # number that may stand in a file: float32 holds its products with others


def gather(
    detector: BaseDetector, heads: HeadScores, maps: FeatureMaps, memory_weight: float
) -> Evidence:
    """All evidence of images: each head's, and the memory's at the positions where it is highest.

    Args:
        detector: the heads.
        heads: their scores.
        maps: what they were given; with a memory, its evidence is the last channel.
        memory_weight: size of that channel a spread; 0 if there is no memory.
    """
    evidence = dict(detector.evidence(heads))
    if memory_weight:
        scales = [
            top_mean(scale[..., -1, :, :].flatten(-2), detector.config.top_fraction)
            for scale in maps
        ]
        evidence[MEMORY] = torch.stack(scales).mean(dim=0) / memory_weight
    return evidence


_SCORES = ("normal_scores", "anomaly_scores")
_NUMBERS = ("means", "deviations", "shifts", "stretches", "weights")


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Standardises evidence and weighs it.

    z = ((e - mean) / deviation - shift) / stretch, made relative to the normals most like the
    image where a neighbourhood is known, and the image score is the mean of z with the weights.
    Training normals lie closer together than others do; shift and stretch say by how much.

    Attributes:
        names: of the evidence; the next five attributes have a value each.
        means: of the training normals' evidence.
        deviations: its standard deviation, positive.
        shifts: mean of left-out normals, in deviations of those trained on.
        stretches: their standard deviation, likewise; positive.
        weights: at least 0, with sum 1.
        neighbourhood: the left-out normals; None compares with all of them alike.
        normal_scores: image scores of the left-out normals, or of those that the neighbourhood
            remembers, each against the others; empty if the model is not theirs.
        anomaly_scores: of left-out anomalies, likewise.
    """

    names: tuple[str, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    shifts: tuple[float, ...]
    stretches: tuple[float, ...]
    weights: tuple[float, ...]
    neighbourhood: Neighbourhood | None = None
    normal_scores: tuple[float, ...] = ()
    anomaly_scores: tuple[float, ...] = ()

    def weigh(self, evidence: Evidence, descriptors: Tensor) -> Evidence:
        """What each kind of evidence adds to the image score, in spreads of left-out normals.

        Their sum (N,) is the score; 0 is a usual normal.

        Args:
            evidence: (N,) by name.
            descriptors: (N, D), see `ahl.neighbourhood.descriptors`.
        """
        own = _matrix(evidence, self.names)
        means, deviations, shifts, stretches, weights = (
            torch.tensor(getattr(self, name), dtype=own.dtype) for name in _NUMBERS
        )
        usual = ((own - means) / deviations - shifts) / stretches
        if self.neighbourhood is not None:
            usual = self.neighbourhood.relative(usual, descriptors)
        return dict(zip(self.names, (usual * weights).unbind(dim=-1), strict=True))

    def restandardised(self, evidence: Evidence) -> Self:
        """The same for other training normals, whose evidence is given.

        Shifts, stretches and weights stay: no labelled anomaly of theirs tells otherwise. The
        neighbourhood and the scores go: they are of other normals.
        """
        means, deviations = _spread(evidence)
        return replace(
            self,
            means=means,
            deviations=deviations,
            neighbourhood=None,
            normal_scores=(),
            anomaly_scores=(),
        )

    def values(self) -> dict[str, Any]:
        """JSON values; with `tensors`, what `rebuild` is the inverse of."""
        known = self.neighbourhood
        return {
            **{name: list(getattr(self, name)) for name in ("names", *_NUMBERS, *_SCORES)},
            "neighbourhood": None if known is None else known.constants(),
        }

    def tensors(self) -> dict[str, Tensor]:
        """The neighbourhood's, by name."""
        return {} if self.neighbourhood is None else self.neighbourhood.tensors()

    @classmethod
    def rebuild(
        cls,
        values: Mapping[str, Any],
        tensors: dict[str, Tensor],
        names: tuple[str, ...],
        width: int,
    ) -> Self:
        """Read it back.

        Args:
            values: from `values`.
            tensors: from `tensors`.
            names: of the evidence there is.
            width: of a descriptor.

        Raises:
            KeyError, TypeError, ValueError: if they do not fit together.
        """
        if tuple(values["names"]) != names:
            raise ValueError("the calibration is of other evidence")
        numbers = {name: tuple(float(value) for value in values[name]) for name in _NUMBERS}
        if any(len(value) != len(names) for value in numbers.values()):
            raise ValueError("the calibration does not have a value for each evidence")
        scores = {name: tuple(float(value) for value in values[name]) for name in _SCORES}
        everything = [*numbers.values(), *scores.values()]
        if not all(abs(x) <= _LARGEST for value in everything for x in value):
            raise ValueError("the calibration is not finite")
        spreads = *numbers["deviations"], *numbers["stretches"]
        if min(spreads) < SMALLEST or min(numbers["weights"]) < 0:
            raise ValueError("the calibration has a spread or a weight that cannot be")
        constants, neighbourhood = values["neighbourhood"], None
        if constants is not None:
            neighbourhood = Neighbourhood.rebuild(constants, tensors, width=width, kinds=len(names))
        return cls(names=names, **numbers, **scores, neighbourhood=neighbourhood)


@dataclass(frozen=True, kw_only=True, eq=False)
class LeftOut:
    """What detectors say of images that they have not trained on.

    Attributes:
        evidence: in deviations of the normals that the same detector trained on.
        descriptors: (N, D) of the images.
    """

    evidence: Evidence
    descriptors: Tensor


def calibrate(
    trained_on: Evidence, normals: LeftOut, anomalies: LeftOut, config: CalibrationConfig
) -> Calibration:
    """Calibrate evidence by images that its heads have not trained on.

    A weight is the (lower) median of left-out anomalies in spreads of left-out normals, which is
    what linear discriminant analysis gives independent evidence of equal spreads; few anomalies
    move it little from the mean of all. Evidence that is the same for all normals says nothing of
    how far is far, and weighs nothing.

    Args:
        trained_on: of the normals that the heads trained on.
        normals: left out, at least two.
        anomalies: left out; if there are none, all evidence weighs the same.
        config: the constants.
    """
    means, deviations = _spread(trained_on)
    shifts, stretches = _spread(normals.evidence)
    names = tuple(trained_on)
    telling = _telling(trained_on) * _telling(normals.evidence)

    def usual(evidence: Evidence) -> Tensor:
        own = _matrix(evidence, names).double()
        return (own - torch.tensor(shifts).double()) / torch.tensor(stretches).double()

    neighbourhood = None
    if config.neighbours:
        neighbourhood = Neighbourhood.of(
            normals.descriptors,
            usual(normals.evidence),
            neighbours=config.neighbours,
            share=config.neighbour_share,
            prior_count=config.neighbour_prior,
        )
    left_out = usual(normals.evidence) if neighbourhood is None else neighbourhood.own().double()
    count = len(anomalies.descriptors)
    stand_out = torch.empty(0, len(names), dtype=torch.float64)
    weights = torch.ones(len(names), dtype=torch.float64)
    if count:
        stand_out = usual(anomalies.evidence)
        if neighbourhood is not None:
            stand_out = neighbourhood.relative(stand_out, anomalies.descriptors)
        stand_out = stand_out.double()
        lifts = stand_out.median(dim=0).values.clamp(min=0)
        if lifts.sum() > 0:
            weights = count * lifts + config.prior_count * lifts.mean()
    if telling.any():
        weights = weights * telling
        # Those that remain may all have lifted nothing.
        weights = weights if weights.sum() > 0 else telling
    weights = weights / weights.sum()
    return Calibration(
        names=names,
        means=means,
        deviations=deviations,
        shifts=shifts,
        stretches=stretches,
        weights=_floats(weights),
        neighbourhood=neighbourhood,
        normal_scores=_floats(left_out @ weights),
        anomaly_scores=_floats(stand_out @ weights),
    )


def standardised(evidence: Evidence, by: Evidence) -> Evidence:
    """Evidence in deviations of other images' from their mean."""
    means, deviations = _spread(by)
    return {
        name: (evidence[name].double() - mean) / deviation
        for name, mean, deviation in zip(by, means, deviations, strict=True)
    }


def _spread(evidence: Evidence) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Means and standard deviations; 1 in place of a deviation that is none."""
    means = tuple(float(values.double().mean()) for values in evidence.values())
    deviations = [float(values.double().std(correction=0)) for values in evidence.values()]
    return means, tuple(value if value > SMALLEST else 1.0 for value in deviations)


def _telling(evidence: Evidence) -> Tensor:
    """(K,) 1 for evidence that is not the same for all images, else 0."""
    spreads = torch.stack([values.double().std(correction=0) for values in evidence.values()])
    return (spreads > SMALLEST).double()


def _floats(values: Tensor) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _matrix(evidence: Evidence, names: Sequence[str]) -> Tensor:
    """(N, K), a column a name."""
    return torch.stack([evidence[name] for name in names], dim=-1)
