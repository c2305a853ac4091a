"""From several kinds of evidence to one image score.

The heads of a detector and the memory of normal patches score on scales of their own: summed as
they are, the one that happens to spread widest decides. Here each is measured in standard
deviations of unseen normals, and weighs as much as it lifts out-of-fold anomalies above them; what
is usual follows from the normals most like the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final, Self

import numpy as np
import torch
from msgspec import Meta
from numpy.typing import NDArray
from torch import Tensor

from ahl._common.schema import base_of
from ahl._common.tensor_file import tensor_of
from ahl.evidence.knn import KNNConstants, KNNNormalisation, NeighbourStatistics
from ahl.evidence.probability import Probability
from ahl.features.maps import FeatureMaps
from ahl.heads import BaseDetector, HeadScores
from ahl.heads.base import MEMORY, top_mean

Evidence = dict[str, Tensor]
"""(N,) by name of a head, or `MEMORY`; higher = more anomalous."""

SMALLEST: Final = 1e-6
"""Spread up to which evidence is constant: it is not divided by, and weighs nothing."""

_LARGEST: Final = 1e30  # number that may stand in a file: float32 holds its products with others

Number = Annotated[float, Meta(ge=-_LARGEST, le=_LARGEST)]
Spread = Annotated[float, Meta(ge=SMALLEST, le=_LARGEST)]
Weight = Annotated[float, Meta(ge=0, le=_LARGEST)]


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


@dataclass(frozen=True, kw_only=True, eq=False)
class CalibrationConstants:
    """All of a calibration but its tensors.

    Attributes:
        names: of the evidence; the next five attributes have a value each.
        means: of the training normals' evidence.
        deviations: its standard deviation.
        shifts: mean of out-of-fold normals, in deviations of those trained on.
        stretches: their standard deviation, in the same deviations.
        weights: with sum 1.
        probability: how likely a score is an anomaly's.
        knn: the out-of-fold normals; None compares with all of them alike.
    """

    names: tuple[str, ...]
    means: tuple[Number, ...]
    deviations: tuple[Spread, ...]
    shifts: tuple[Number, ...]
    stretches: tuple[Spread, ...]
    weights: tuple[Weight, ...]
    probability: Probability
    knn: KNNConstants | None

    def __post_init__(self) -> None:
        values = self.means, self.deviations, self.shifts, self.stretches, self.weights
        if {len(each) for each in values} != {len(self.names)}:
            raise ValueError("the calibration does not have a value for each evidence")


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration(CalibrationConstants):
    """Standardises evidence and weighs it.

    z = ((e - mean) / deviation - shift) / stretch, made relative to the normals most like the
    image where they are known, and the image score is the mean of z with the weights.
    Training normals lie closer together than others do; shift and stretch say by how much.

    Attributes:
        normals: (N, K) z of the out-of-fold normals, or of those that `knn` remembers, each
            against the others; none if the model is not theirs.
        anomalies: (M, K) z of the out-of-fold anomalies.
        missed: (R, K) of anomalies that later updates learnt from. They have a say in the weights
            alone: chosen because they were missed, they do not stand for others.
    """

    knn: KNNNormalisation | None
    normals: Tensor
    anomalies: Tensor
    missed: Tensor

    @property
    def normal_scores(self) -> NDArray[np.float64]:
        """(N,) image scores of the out-of-fold normals."""
        return weighted(self.normals, self.weights)

    @property
    def anomaly_scores(self) -> NDArray[np.float64]:
        """(M,) image scores of the out-of-fold anomalies."""
        return weighted(self.anomalies, self.weights)

    def neighbours(self, descriptors: Tensor) -> NeighbourStatistics | None:
        """The normals most like images, (N, D) `descriptors`; None where all normals are alike."""
        return None if self.knn is None else self.knn.statistics(descriptors)

    def standardised(self, evidence: Evidence, neighbours: NeighbourStatistics | None) -> Tensor:
        """Evidence z of images, (N, K); the arguments are those of `weigh`."""
        plain = self.plain(evidence)
        if self.knn is not None and neighbours is not None:
            return self.knn.relative(plain, neighbours)
        return plain

    def plain(self, evidence: Evidence) -> Tensor:
        """The same before it is made relative to the normals most like each image."""
        own = as_matrix(evidence, self.names)
        means, deviations, shifts, stretches = (
            torch.tensor(values, dtype=own.dtype)
            for values in (self.means, self.deviations, self.shifts, self.stretches)
        )
        return ((own - means) / deviations - shifts) / stretches

    def weigh(self, evidence: Evidence, neighbours: NeighbourStatistics | None) -> Evidence:
        """The share of each kind of evidence in the image score.

        In standard deviations of unseen normals; their sum (N,) is the score; 0 is a usual normal.

        Args:
            evidence: (N,) by name.
            neighbours: of each, or of the one image that all of it is of.
        """
        z = self.standardised(evidence, neighbours)
        weights = torch.tensor(self.weights, dtype=z.dtype)
        return dict(zip(self.names, (z * weights).unbind(dim=-1), strict=True))

    def restandardised(self, evidence: Evidence) -> Self:
        """The same for other training normals, whose evidence is given.

        Shifts, stretches and weights stay: there is no labelled anomaly of theirs. The
        out-of-fold normals and anomalies go: they are of another product.
        """
        means, deviations = spread_of(evidence)
        return replace(
            self,
            means=means,
            deviations=deviations,
            knn=None,
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

    def constants(self) -> CalibrationConstants:
        """All but the tensors."""
        knn = None if self.knn is None else base_of(self.knn, KNNConstants)
        return replace(base_of(self, CalibrationConstants), knn=knn)

    def tensors(self) -> dict[str, Tensor]:
        """The tensors by name."""
        own = {"normals": self.normals, "anomalies": self.anomalies, "missed": self.missed}
        return own | ({} if self.knn is None else self.knn.tensors())

    @classmethod
    def read(
        cls,
        constants: CalibrationConstants,
        tensors: dict[str, Tensor],
        names: tuple[str, ...],
        width: int,
    ) -> Self:
        """The inverse of `constants` and `tensors`, where descriptors are (N, `width`).

        Raises:
            ValueError: if they do not fit together.
        """
        if constants.names != names:
            raise ValueError("the calibration is of other evidence")
        knn, kinds = None, len(names)
        if constants.knn is not None:
            knn = KNNNormalisation.read(constants.knn, tensors, width=width, kinds=kinds)
        return cls(
            **vars(constants) | {"knn": knn},
            normals=tensor_of(tensors, "normals", torch.float32, None, kinds),
            anomalies=tensor_of(tensors, "anomalies", torch.float32, None, kinds),
            missed=tensor_of(tensors, "missed", torch.float32, None, kinds),
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
