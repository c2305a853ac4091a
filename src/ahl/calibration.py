"""From several kinds of evidence to one image score.

The heads of a detector and the memory of normal patches score on scales of their own: summed as
they are, the one that happens to spread widest decides. Here each is measured in spreads of unseen
normals, and weighs as much as it lifts left-out anomalies above them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
from torch import Tensor

from ahl.detectors import BaseDetector, HeadScores
from ahl.detectors.base import top_mean
from ahl.feature_maps import FeatureMaps

Evidence = dict[str, Tensor]
"""(N,) by name of a head, or `MEMORY`; higher = more anomalous."""

MEMORY = "memory"
"""Name of the memory's evidence beside those of the heads."""

SMALLEST = 1e-6
"""Least spread that is divided by."""


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


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Standardises evidence and weighs it.

    z = ((e - mean) / deviation - shift) / stretch, and the image score is the mean of z with the
    weights. Training normals lie closer together than others do; shift and stretch say by how much.

    Attributes:
        names: of the evidence; the other attributes have a value each.
        means: of the training normals' evidence.
        deviations: its standard deviation, positive.
        shifts: mean of left-out normals, in deviations of those trained on.
        stretches: their standard deviation, likewise; positive.
        weights: at least 0, with sum 1.
    """

    names: tuple[str, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    shifts: tuple[float, ...]
    stretches: tuple[float, ...]
    weights: tuple[float, ...]

    def combine(self, evidence: Evidence) -> Tensor:
        """(N,) image scores, in spreads of left-out normals; 0 is a usual normal."""
        total = torch.zeros_like(evidence[self.names[0]])
        for i, name in enumerate(self.names):
            own = (evidence[name] - self.means[i]) / self.deviations[i]
            total = total + self.weights[i] * ((own - self.shifts[i]) / self.stretches[i])
        return total

    def restandardised(self, evidence: Evidence) -> Self:
        """The same for other training normals, whose evidence is given.

        Shifts, stretches and weights stay: no labelled anomaly of theirs tells otherwise.
        """
        means, deviations = _spread(evidence)
        values = {**asdict(self), "means": means, "deviations": deviations}
        return type(self)(**values)

    def values(self) -> dict[str, Any]:
        """JSON values; `rebuild` is the inverse."""
        return {name: list(value) for name, value in asdict(self).items()}

    @classmethod
    def rebuild(cls, values: Mapping[str, Any], names: tuple[str, ...]) -> Self:
        """Read JSON values back.

        Args:
            values: from `values`.
            names: of the evidence there is.

        Raises:
            KeyError, TypeError, ValueError: if they do not fit together.
        """
        if tuple(values["names"]) != names:
            raise ValueError("the calibration is of other evidence")
        numbers = {
            name: tuple(float(value) for value in values[name])
            for name in ("means", "deviations", "shifts", "stretches", "weights")
        }
        if any(len(value) != len(names) for value in numbers.values()):
            raise ValueError("the calibration does not have a value for each evidence")
        if not all(abs(x) < float("inf") for value in numbers.values() for x in value):
            raise ValueError("the calibration is not finite")
        if min(*numbers["deviations"], *numbers["stretches"]) <= 0 or min(numbers["weights"]) < 0:
            raise ValueError("the calibration has a spread or a weight that cannot be")
        return cls(names=names, **numbers)


def calibrate(
    trained_on: Evidence,
    left_out_normals: Evidence,
    left_out_anomalies: Evidence,
    prior_count: float,
) -> Calibration:
    """Calibrate evidence by images that its heads have not trained on.

    A weight is the median of left-out anomalies in spreads of left-out normals, which is what
    linear discriminant analysis gives independent evidence of equal spreads; few anomalies move it
    little from the mean of all.

    Args:
        trained_on: of the normals that the heads trained on.
        left_out_normals: in deviations of the normals that the same heads trained on.
        left_out_anomalies: likewise; empty if there are none, and all evidence weighs the same.
        prior_count: anomalies that the prior weighs.
    """
    means, deviations = _spread(trained_on)
    shifts, stretches = _spread(left_out_normals)
    names = tuple(trained_on)
    count = len(left_out_anomalies[names[0]])
    weights = torch.ones(len(names), dtype=torch.float64)
    if count:
        lifts = torch.stack(
            [
                ((left_out_anomalies[name].double().median() - shift) / stretch).clamp(min=0)
                for name, shift, stretch in zip(names, shifts, stretches, strict=True)
            ]
        )
        if lifts.sum() > 0:
            weights = (count * lifts + prior_count * lifts.mean()) / (count + prior_count)
    return Calibration(
        names=names,
        means=means,
        deviations=deviations,
        shifts=shifts,
        stretches=stretches,
        weights=tuple(float(weight) for weight in weights / weights.sum()),
    )


def standardised(evidence: Evidence, by: Evidence) -> Evidence:
    """Evidence in deviations of other images' from their mean."""
    means, deviations = _spread(by)
    return {
        name: (evidence[name].double() - mean) / deviation
        for name, mean, deviation in zip(by, means, deviations, strict=True)
    }


def _spread(evidence: Evidence) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Means and standard deviations, never zero."""
    means = tuple(float(values.double().mean()) for values in evidence.values())
    deviations = tuple(
        max(float(values.double().std(correction=0)), SMALLEST) for values in evidence.values()
    )
    return means, deviations
