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

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ahl.evidence.neighbourhood import Near, Neighbourhood
from ahl.evidence.probability import Probability
from ahl.features.maps import FeatureMaps
from ahl.heads import BaseDetector, HeadScores
from ahl.heads.base import MEMORY, top_mean

Evidence = dict[str, Tensor]
"""(N,) by name of a head, or `MEMORY`; higher = more anomalous."""

SMALLEST = 1e-6
"""Spread up to which evidence is constant: it is not divided by, and weighs nothing."""

_LEFT_OUT = ("normals", "anomalies", "missed")

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


_NUMBERS = ("means", "deviations", "shifts", "stretches", "weights")


@dataclass(frozen=True, kw_only=True, eq=False)
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
        normals: (N, K) z of the left-out normals, or of those that the neighbourhood remembers,
            each against the others; none if the model is not theirs.
        anomalies: (M, K) of left-out anomalies, likewise.
        missed: (R, K) of anomalies that later corrections were told of. They have a say in the
            weights alone: chosen because they were missed, they do not stand for others.
        probability: how likely a score is an anomaly's.
    """

    names: tuple[str, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    shifts: tuple[float, ...]
    stretches: tuple[float, ...]
    weights: tuple[float, ...]
    neighbourhood: Neighbourhood | None
    normals: Tensor
    anomalies: Tensor
    missed: Tensor
    probability: Probability

    @property
    def normal_scores(self) -> NDArray[np.float64]:
        """(N,) image scores of the left-out normals."""
        return weighted(self.normals, self.weights)

    @property
    def anomaly_scores(self) -> NDArray[np.float64]:
        """(M,) image scores of the left-out anomalies."""
        return weighted(self.anomalies, self.weights)

    def near(self, descriptors: Tensor) -> Near | None:
        """What is usual near images, (N, D) descriptors; None where all normals are alike.

        See `ahl.evidence.neighbourhood.descriptors`.
        """
        return None if self.neighbourhood is None else self.neighbourhood.near(descriptors)

    def standardised(self, evidence: Evidence, near: Near | None) -> Tensor:
        """Evidence z of images, (N, K); the arguments are those of `weigh`."""
        usual = self.usual(evidence)
        if self.neighbourhood is not None and near is not None:
            usual = self.neighbourhood.relative(usual, near)
        return usual

    def usual(self, evidence: Evidence) -> Tensor:
        """The same before it is made relative to the normals most like each image."""
        own = as_matrix(evidence, self.names)
        means, deviations, shifts, stretches = (
            torch.tensor(getattr(self, name), dtype=own.dtype) for name in _NUMBERS[:-1]
        )
        return ((own - means) / deviations - shifts) / stretches

    def weigh(self, evidence: Evidence, near: Near | None) -> Evidence:
        """What each kind of evidence adds to the image score, in spreads of left-out normals.

        Their sum (N,) is the score; 0 is a usual normal.

        Args:
            evidence: (N,) by name.
            near: what is usual near each, or near the one image that all of it is of; from `near`.
        """
        z = self.standardised(evidence, near)
        weights = torch.tensor(self.weights, dtype=z.dtype)
        return dict(zip(self.names, (z * weights).unbind(dim=-1), strict=True))

    def restandardised(self, evidence: Evidence) -> Self:
        """The same for other training normals, whose evidence is given.

        Shifts, stretches and weights stay: no labelled anomaly of theirs tells otherwise. The
        neighbourhood and what was left out go: they are of other normals.
        """
        means, deviations = spread_of(evidence)
        return replace(
            self,
            means=means,
            deviations=deviations,
            neighbourhood=None,
            normals=self.normals[:0],
            anomalies=self.anomalies[:0],
            missed=self.missed[:0],
        )

    def moved(self, before: Evidence, after: Evidence) -> Self:
        """The same for heads that went on training, by what that changed of normals' evidence."""
        means, deviations = spread_of(before)
        means_after, deviations_after = spread_of(after)
        changes = zip(self.means, means, means_after, strict=True)
        ratios = zip(self.deviations, deviations, deviations_after, strict=True)
        return replace(
            self,
            means=tuple(own + new - old for own, old, new in changes),
            deviations=tuple(max(own * new / old, SMALLEST) for own, old, new in ratios),
        )

    def values(self) -> dict[str, Any]:
        """JSON values; with `tensors`, what `rebuild` is the inverse of."""
        known = self.neighbourhood
        return {
            **{name: list(getattr(self, name)) for name in ("names", *_NUMBERS)},
            "probability": self.probability.values(),
            "neighbourhood": None if known is None else known.constants(),
        }

    def tensors(self) -> dict[str, Tensor]:
        """What was left out, and the neighbourhood's tensors, by name."""
        known = {} if self.neighbourhood is None else self.neighbourhood.tensors()
        return {**{name: getattr(self, name) for name in _LEFT_OUT}, **known}

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
        if not all(abs(x) <= _LARGEST for value in numbers.values() for x in value):
            raise ValueError("the calibration is not finite")
        left_out = {name: tensors[name] for name in _LEFT_OUT}
        for tensor in left_out.values():
            if tensor.ndim != 2 or tensor.shape[1] != len(names) or tensor.dtype != torch.float32:
                raise ValueError("what was left out has another form")
        spreads = *numbers["deviations"], *numbers["stretches"]
        if min(spreads) < SMALLEST or min(numbers["weights"]) < 0:
            raise ValueError("the calibration has a spread or a weight that cannot be")
        constants, neighbourhood = values["neighbourhood"], None
        if constants is not None:
            neighbourhood = Neighbourhood.rebuild(constants, tensors, width=width, kinds=len(names))
        probability = Probability.rebuild(values["probability"])
        return cls(
            names=names,
            means=numbers["means"],
            deviations=numbers["deviations"],
            shifts=numbers["shifts"],
            stretches=numbers["stretches"],
            weights=numbers["weights"],
            neighbourhood=neighbourhood,
            normals=left_out["normals"],
            anomalies=left_out["anomalies"],
            missed=left_out["missed"],
            probability=probability,
        )


def spread_of(evidence: Evidence) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Means and standard deviations; 1 in place of a deviation that is none."""
    means = tuple(float(values.double().mean()) for values in evidence.values())
    deviations = [float(values.double().std(correction=0)) for values in evidence.values()]
    return means, tuple(value if value > SMALLEST else 1.0 for value in deviations)


def weighted(standardised: Tensor, weights: tuple[float, ...]) -> NDArray[np.float64]:
    """Image scores (N,) of z (N, K)."""
    scores = standardised.double() @ torch.tensor(weights, dtype=torch.float64)
    return np.asarray(scores.numpy(), dtype=np.float64)


def as_matrix(evidence: Evidence, names: Sequence[str]) -> Tensor:
    """(N, K), a column a name."""
    return torch.stack([evidence[name] for name in names], dim=-1)
