"""K-nearest-neighbour normalisation: evidence relative to the normals most similar to an image.

The normals of one folder may be of several lots, cameras or products, each with its own usual
evidence. Labelled anomalies are mostly of one of these, which heads learn to recognise, too.
Comparing an image with its nearest normals removes such differences.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Self

import torch
from torch import Tensor

from ahl._common.schema import Natural, Positive
from ahl._common.tensor_file import tensor_of
from ahl.features.maps import FeatureMaps, pool_maps

MOST: Final = 2000
"""Largest number of normals remembered from training; of more, evenly spaced ones are kept."""

_LEAST: Final = 1e-6  # spread that is divided by


def descriptors(maps: FeatureMaps, appended: int) -> Tensor:
    """Descriptors to compare images by: means of the feature channels, (N, scales * C).

    Args:
        maps: (N, C + appended, H_s, W_s) per scale.
        appended: number of last channels that are not features.
    """
    return pool_maps(tuple(scale[:, : scale.shape[1] - appended] for scale in maps))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NeighbourStatistics:
    """Mean and variance of the evidence of each image's nearest normals.

    Attributes:
        mean: (N, K), shrunk towards the mean of all normals.
        variance: (N, K), shrunk towards the variance of all normals.
    """

    mean: Tensor
    variance: Tensor

    def by_place(self) -> NeighbourStatistics:
        """Statistics that broadcast over evidence (N, P, K) of P positions per image."""
        return NeighbourStatistics(mean=self.mean.unsqueeze(1), variance=self.variance.unsqueeze(1))


@dataclass(frozen=True, kw_only=True, eq=False)
class KNNConstants:
    """The constants of a normalisation, without its tensors.

    Attributes:
        scale: root mean square of the descriptors' standard deviations. One scale for all
            components: the last principal components, scaled up to the first, would be noise.
        neighbours: number of neighbours.
        prior_count: number of neighbours that the prior, the spread of all normals, counts as.
    """

    scale: Positive
    neighbours: Natural
    prior_count: Positive


@dataclass(frozen=True, kw_only=True, eq=False)
class KNNNormalisation(KNNConstants):
    """Normalisation by remembered normals and their out-of-fold evidence.

    Attributes:
        centre: (D,) mean of the normals' descriptors.
        places: (M, D) centred descriptors divided by the scale, rounded to half precision.
        evidence: (M, K) standardised evidence.
        shares: (K,) factor on the neighbours' statistics, 0 to 1.
        spreads: (K,) standard deviation of the normals' relative evidence, positive.
    """

    centre: Tensor
    places: Tensor
    evidence: Tensor
    shares: Tensor
    spreads: Tensor

    @classmethod
    def of(
        cls,
        descriptors: Tensor,
        evidence: Tensor,
        *,
        neighbours: int,
        share: float,
        prior_count: float,
    ) -> Self:
        """Fit the normalisation to out-of-fold normals.

        Args:
            descriptors: (N, D) descriptors of at least two normals.
            evidence: (N, K) their evidence, each column with mean 0 and standard deviation 1.
            neighbours: smallest number of neighbours, at least 1.
            share: number of neighbours as a share of the remembered normals, if that is more.
            prior_count: as the attribute, positive.
        """
        kept = torch.linspace(0, len(evidence) - 1, min(len(evidence), MOST)).round().long()
        described, evidence = descriptors[kept].double(), evidence[kept].float()
        centre = described.mean(dim=0)
        scale = float(described.var(dim=0, correction=0).mean().sqrt()) or 1.0
        known = cls(
            centre=centre.float(),
            scale=scale,
            places=((described - centre) / scale).half().float(),
            evidence=evidence,
            shares=torch.ones(evidence.shape[1]),
            spreads=torch.ones(evidence.shape[1]),
            neighbours=min(max(neighbours, round(share * len(kept))), len(kept) - 1),
            prior_count=prior_count,
        )
        # Each remembered normal against the others: its neighbours must predict its evidence.
        mean = known._nearest(known._others()).mean
        explained = (evidence * mean).sum(dim=0) / mean.square().sum(dim=0).clamp_min(_LEAST)
        known = replace(known, shares=explained.clamp(0.0, 1.0))
        spreads = known.own().std(dim=0, correction=0)
        return replace(known, spreads=spreads.clamp_min(_LEAST))

    def including(self, descriptors: Tensor, evidence: Tensor) -> Self:
        """Add further normals; shares and spreads are kept.

        Args:
            descriptors: (N, D) their descriptors.
            evidence: (N, K) their evidence, standardised like the remembered one.
        """
        places = ((descriptors - self.centre) / self.scale).half().float()
        return replace(
            self,
            places=torch.cat([self.places, places]),
            evidence=torch.cat([self.evidence, evidence.float()]),
        )

    def own(self) -> Tensor:
        """Relative evidence of the remembered normals (M, K), each against the others."""
        return self.relative(self.evidence, self._nearest(self._others()))

    def _others(self) -> Tensor:
        """Distances between the remembered normals (M, M), infinite on the diagonal."""
        return torch.cdist(self.places, self.places).fill_diagonal_(float("inf"))

    def statistics(self, descriptors: Tensor) -> NeighbourStatistics:
        """Statistics of the nearest normals of images with these descriptors (N, D)."""
        places = (descriptors - self.centre) / self.scale
        # One way of computing, whatever the number of images: a graph has no other.
        distances = torch.cdist(places, self.places, compute_mode="use_mm_for_euclid_dist")
        return self._nearest(distances)

    def relative(self, evidence: Tensor, neighbours: NeighbourStatistics) -> Tensor:
        """Evidence in standard deviations of each image's nearest normals.

        The neighbours' mean and variance are shrunk towards those of all normals, 0 and 1, as by
        `prior_count` more neighbours, and then by the share. The share is the least-squares factor
        that predicts each remembered normal's evidence from its neighbours' mean; it is 0 if
        similar images have no similar evidence. The remembered normals' results have standard
        deviation 1.

        Args:
            evidence: (N, K), standardised like the remembered one.
            neighbours: statistics for each image, or for the one image that all evidence is of.
        """
        variance = self.shares * neighbours.variance + 1 - self.shares
        return (evidence - self.shares * neighbours.mean) / variance.sqrt() / self.spreads

    def _nearest(self, distances: Tensor) -> NeighbourStatistics:
        """Statistics of the nearest normals by distances (N, M), shrunk by `prior_count`."""
        nearest = distances.topk(self.neighbours, dim=1, largest=False).indices
        evidence = self.evidence[nearest]  # (N, neighbours, K)
        whole = self.neighbours + self.prior_count
        variance = self.neighbours * evidence.var(dim=1, correction=0) + self.prior_count
        return NeighbourStatistics(mean=evidence.sum(dim=1) / whole, variance=variance / whole)

    def tensors(self) -> dict[str, Tensor]:
        """The tensors by name; `places` in half precision, without loss."""
        return {
            "centre": self.centre,
            "places": self.places.half(),
            "evidence": self.evidence,
            "shares": self.shares,
            "spreads": self.spreads,
        }

    @classmethod
    def read(
        cls, constants: KNNConstants, tensors: dict[str, Tensor], *, width: int, kinds: int
    ) -> Self:
        """Rebuild from constants and `tensors`, where D is `width` and K is `kinds`.

        Raises:
            ValueError: if they are inconsistent.
        """
        places = tensor_of(tensors, "places", torch.float16, None, width)
        known = cls(
            **vars(constants),
            centre=tensor_of(tensors, "centre", torch.float32, width),
            places=places.float(),
            evidence=tensor_of(tensors, "evidence", torch.float32, len(places), kinds),
            shares=tensor_of(tensors, "shares", torch.float32, kinds),
            spreads=tensor_of(tensors, "spreads", torch.float32, kinds),
        )
        if known.neighbours > len(places):
            raise ValueError(f"{known.neighbours} neighbours of {len(places)} normals")
        if known.spreads.min() <= 0 or known.shares.min() < 0 or known.shares.max() > 1:
            raise ValueError("the neighbours' spreads are not positive, or shares not from 0 to 1")
        return known
