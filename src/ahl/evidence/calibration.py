"""Calibration of several kinds of evidence into one image score.

The heads of a detector and the memory of normal patches have scales of their own: in a plain sum,
the one with the largest spread dominates. Here each is measured in standard deviations of unseen
normals, relative to the nearest neighbours of the image, and weighted by how far it raises
out-of-fold anomalies above normals.
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
"""Evidence (N,) by name of a head, or `MEMORY`; higher is more anomalous."""

SMALLEST: Final = 1e-6
"""Largest standard deviation of evidence that counts as constant, and gets weight 0."""

_LARGEST: Final = 1e30  # number that may stand in a file: float32 holds its products with others

Number = Annotated[float, Meta(ge=-_LARGEST, le=_LARGEST)]
Spread = Annotated[float, Meta(ge=SMALLEST, le=_LARGEST)]
Weight = Annotated[float, Meta(ge=0, le=_LARGEST)]


def gather(
    detector: BaseDetector, heads: HeadScores, maps: FeatureMaps, memory_weight: float
) -> Evidence:
    """Gather all evidence of images: each head's, and the mean of the memory's top positions.

    Args:
        detector: the heads.
        heads: the heads' scores.
        maps: the heads' input; with a memory, its evidence is the last channel.
        memory_weight: size of that channel per standard deviation; 0 without a memory.
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
    """The constants of a calibration, without its tensors.

    Attributes:
        names: names of the evidence; the next five attributes have one value for each.
        means: means of the training normals' evidence.
        deviations: standard deviations of the training normals' evidence.
        shifts: means of the out-of-fold normals, in these deviations.
        stretches: standard deviations of the out-of-fold normals, in the same deviations.
        weights: weights, with sum 1.
        probability: probability that an image is anomalous, by its score.
        knn: k-nearest-neighbour normalisation; None compares with all normals.
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
    """Standardises and weights evidence.

    z = ((e - mean) / deviation - shift) / stretch, relative to the image's nearest normals if
    `knn` is there; the image score is the weighted mean of z. Shift and stretch correct for
    training normals, whose evidence is lower and less spread than that of unseen ones.

    Attributes:
        normals: (N, K) z of the out-of-fold normals; with `knn` of those that it remembers, each
            against the others. Empty after adapting to another product.
        anomalies: (M, K) z of the out-of-fold anomalies.
        missed: (R, K) z of anomalies from later updates. They count for the weights only: chosen
            because they were missed, they are not representative.
    """

    knn: KNNNormalisation | None
    normals: Tensor
    anomalies: Tensor
    missed: Tensor

    @property
    def normal_scores(self) -> NDArray[np.float64]:
        """Image scores of the out-of-fold normals, (N,)."""
        return weighted(self.normals, self.weights)

    @property
    def anomaly_scores(self) -> NDArray[np.float64]:
        """Image scores of the out-of-fold anomalies, (M,)."""
        return weighted(self.anomalies, self.weights)

    def neighbours(self, descriptors: Tensor) -> NeighbourStatistics | None:
        """Statistics of the nearest normals of images by `descriptors` (N, D); None without knn."""
        return None if self.knn is None else self.knn.statistics(descriptors)

    def standardised(self, evidence: Evidence, neighbours: NeighbourStatistics | None) -> Tensor:
        """Standardised evidence z of images, (N, K); the arguments are those of `weigh`."""
        plain = self.plain(evidence)
        if self.knn is not None and neighbours is not None:
            return self.knn.relative(plain, neighbours)
        return plain

    def plain(self, evidence: Evidence) -> Tensor:
        """Standardised evidence (N, K), not relative to the nearest normals."""
        own = as_matrix(evidence, self.names)
        means, deviations, shifts, stretches = (
            torch.tensor(values, dtype=own.dtype)
            for values in (self.means, self.deviations, self.shifts, self.stretches)
        )
        return ((own - means) / deviations - shifts) / stretches

    def weigh(self, evidence: Evidence, neighbours: NeighbourStatistics | None) -> Evidence:
        """Contribution of each kind of evidence to the image score; their sum (N,) is the score.

        In standard deviations of unseen normals, whose mean is 0.

        Args:
            evidence: (N,) by name.
            neighbours: statistics for each image, or for the one image that all evidence is of.
        """
        z = self.standardised(evidence, neighbours)
        weights = torch.tensor(self.weights, dtype=z.dtype)
        return dict(zip(self.names, (z * weights).unbind(dim=-1), strict=True))

    def restandardised(self, evidence: Evidence) -> Self:
        """Recalibrate to another product's training normals, by their evidence.

        Shifts, stretches and weights are kept, as there are no labelled anomalies of the product.
        The out-of-fold normals and anomalies, which are of the old product, are dropped.
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
        """Adjust means and deviations to further training, by evidence `before` and `after`."""
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
        """The constants, without the tensors."""
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
        """Rebuild from `constants` and `tensors`; descriptors have `width` components.

        Raises:
            ValueError: if they are inconsistent.
        """
        if constants.names != names:
            raise ValueError("the calibration belongs to other evidence")
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
    """Means and standard deviations; 1 in place of deviations up to `SMALLEST`."""
    means = tuple(float(values.double().mean()) for values in evidence.values())
    deviations = [float(values.double().std(correction=0)) for values in evidence.values()]
    return means, tuple(value if value > SMALLEST else 1.0 for value in deviations)


def weighted(standardised: Tensor, weights: tuple[float, ...]) -> NDArray[np.float64]:
    """Image scores (N,): weighted sums of standardised evidence (N, K)."""
    scores = standardised.double() @ torch.tensor(weights, dtype=torch.float64)
    return np.asarray(scores.numpy(), dtype=np.float64)


def as_matrix(evidence: Evidence, names: Sequence[str]) -> Tensor:
    """Evidence as a matrix (N, K), one column per name."""
    return torch.stack([evidence[name] for name in names], dim=-1)
