"""K-nearest-neighbour normalisation: evidence measured against the normals most like an image.

Normals are not of one kind: lots, cameras and products of one folder differ, and so does the
evidence that is usual for each. Labelled anomalies are mostly of one of them, so that heads learn
to tell that kind of image too. Compared with the normals that look like it, an image is judged for
what sets it apart from its own kind.
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
"""Normals that are remembered; of more, evenly spaced ones."""

_LEAST: Final = 1e-6  # spread that is divided by


def descriptors(maps: FeatureMaps, appended: int) -> Tensor:
    """Descriptors that images are compared by: the plain channels' means, (N, scales * C).

    Args:
        maps: (N, C + appended, H_s, W_s) a scale.
        appended: channels at the end that are not features.
    """
    return pool_maps(tuple(scale[:, : scale.shape[1] - appended] for scale in maps))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NeighbourStatistics:
    """The evidence of the normals most like each of N images.

    Attributes:
        mean: (N, K), drawn towards that of all normals.
        variance: (N, K), drawn towards that of all normals.
    """

    mean: Tensor
    variance: Tensor

    def by_place(self) -> NeighbourStatistics:
        """The same for evidence (N, P, K) of P places an image."""
        return NeighbourStatistics(mean=self.mean.unsqueeze(1), variance=self.variance.unsqueeze(1))


@dataclass(frozen=True, kw_only=True, eq=False)
class KNNConstants:
    """All of a normalisation but its tensors.

    Attributes:
        scale: root mean square of the descriptors' standard deviations. One for all: descriptors
            are of principal components, and the last ones, made as wide as the first, would be
            noise.
        neighbours: how many are looked at.
        prior_count: neighbours that the spread of all normals weighs.
    """

    scale: Positive
    neighbours: Natural
    prior_count: Positive


@dataclass(frozen=True, kw_only=True, eq=False)
class KNNNormalisation(KNNConstants):
    """Remembered normals, each with out-of-fold evidence.

    Attributes:
        centre: (D,) mean of the normals' descriptors.
        places: (M, D) centred descriptors over the scale, rounded to half precision.
        evidence: (M, K) standardised evidence.
        shares: (K,) how much of the neighbours' evidence counts, 0 to 1.
        spreads: (K,) standard deviation of the normals' own relative evidence, positive.
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
        """Remember out-of-fold normals.

        Args:
            descriptors: (N, D) of at least two normals.
            evidence: (N, K) of theirs, each column of mean 0 and spread 1.
            neighbours: how many to look at, at least 1.
            share: as many, as a share of those remembered, if these are more.
            prior_count: see the attribute; positive.
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
        """The same with further normals; shares and spreads stay.

        Args:
            descriptors: (N, D) of theirs.
            evidence: (N, K), standardised like the remembered one.
        """
        places = ((descriptors - self.centre) / self.scale).half().float()
        return replace(
            self,
            places=torch.cat([self.places, places]),
            evidence=torch.cat([self.evidence, evidence.float()]),
        )

    def own(self) -> Tensor:
        """(M, K) relative evidence of the remembered normals, each against the others."""
        return self.relative(self.evidence, self._nearest(self._others()))

    def _others(self) -> Tensor:
        """(M, M) distances; infinite to itself."""
        return torch.cdist(self.places, self.places).fill_diagonal_(float("inf"))

    def statistics(self, descriptors: Tensor) -> NeighbourStatistics:
        """Statistics of the neighbours of images, by their descriptors (N, D)."""
        places = (descriptors - self.centre) / self.scale
        # One way of computing, whatever the number of images: a graph has no other.
        distances = torch.cdist(places, self.places, compute_mode="use_mm_for_euclid_dist")
        return self._nearest(distances)

    def relative(self, evidence: Tensor, neighbours: NeighbourStatistics) -> Tensor:
        """Evidence in standard deviations of the normals most like each image.

        Mean and variance of the neighbours are drawn towards those of all normals, 0 and 1: as if
        by `prior_count` more neighbours, and by the part of the share that is missing to 1. The
        share is what, in a least-squares fit, best predicts each remembered normal's evidence by
        its neighbours' mean: 0 where images that look alike are no more alike in their evidence.
        The normals' own results have spread 1.

        Args:
            evidence: (N, K), standardised like the remembered one.
            neighbours: of the same images, or of the one image that all of it is of.
        """
        variance = self.shares * neighbours.variance + 1 - self.shares
        return (evidence - self.shares * neighbours.mean) / variance.sqrt() / self.spreads

    def _nearest(self, distances: Tensor) -> NeighbourStatistics:
        """Statistics of the nearest, by distances (N, M)."""
        nearest = distances.topk(self.neighbours, dim=1, largest=False).indices
        evidence = self.evidence[nearest]  # (N, neighbours, K)
        whole = self.neighbours + self.prior_count
        variance = self.neighbours * evidence.var(dim=1, correction=0) + self.prior_count
        return NeighbourStatistics(mean=evidence.sum(dim=1) / whole, variance=variance / whole)

    def tensors(self) -> dict[str, Tensor]:
        """The tensors by name, places in half precision without loss."""
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
        """The inverse of `tensors`, where D is `width` and K is `kinds`.

        Raises:
            ValueError: if they do not fit together.
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
