"""What is usual among the normals most like an image.

Normals are not of one kind: lots, cameras and products of one folder differ, and so does the
evidence that is usual for each. Labelled anomalies are mostly of one of them, so that heads learn
to tell that kind of image too. Compared with the normals that look like it, an image is judged for
what sets it apart from its own kind.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Self

import torch
from torch import Tensor

from ahl.features.maps import FeatureMaps, pool_maps

MOST: Final = 2000
"""Normals that are remembered; of more, evenly spaced ones."""

_LEAST: Final = 1e-6  # spread that is divided by


def descriptors(maps: FeatureMaps, appended: int) -> Tensor:
    """What images are compared by: (N, scales * C), the plain channels' means of every scale.

    Args:
        maps: (N, C + appended, H_s, W_s) a scale.
        appended: channels at the end that are no features.
    """
    return pool_maps(tuple(scale[:, : scale.shape[1] - appended] for scale in maps))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Near:
    """What is usual among the normals most like each of N images.

    Attributes:
        mean: (N, K) of their evidence, drawn towards that of all normals.
        variance: (N, K), likewise.
    """

    mean: Tensor
    variance: Tensor

    def by_place(self) -> Near:
        """The same for evidence (N, P, K) of P places an image."""
        return Near(mean=self.mean.unsqueeze(1), variance=self.variance.unsqueeze(1))


@dataclass(frozen=True, kw_only=True, eq=False)
class Neighbourhood:
    """Remembered normals, each with the evidence of a detector that it had no part in.

    Attributes:
        centre: (D,) mean of the normals' descriptors.
        scale: root mean square of their standard deviations, positive. One for all: descriptors are
            of principal components, and the last ones, made as wide as the first, would be noise.
        places: (M, D) centred descriptors over the scale, rounded to half precision.
        evidence: (M, K) standardised evidence.
        shares: (K,) how much of what is usual nearby counts, 0 to 1.
        spreads: (K,) standard deviation of the normals' own relative evidence, positive.
        neighbours: how many are looked at.
        prior_count: neighbours that the spread of all normals weighs.
    """

    centre: Tensor
    scale: float
    places: Tensor
    evidence: Tensor
    shares: Tensor
    spreads: Tensor
    neighbours: int
    prior_count: float

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
        """Remember left-out normals.

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
        # Each remembered normal against the others: what is near it must predict its evidence.
        mean = known._usual(known._others()).mean
        explained = (evidence * mean).sum(dim=0) / mean.square().sum(dim=0).clamp_min(_LEAST)
        known = replace(known, shares=explained.clamp(0.0, 1.0))
        spreads = known.own().std(dim=0, correction=0)
        return replace(known, spreads=spreads.clamp_min(_LEAST))

    def including(self, descriptors: Tensor, evidence: Tensor) -> Self:
        """The same with further normals; what their evidence is like is not asked anew.

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
        return self.relative(self.evidence, self._usual(self._others()))

    def _others(self) -> Tensor:
        """(M, M) distances; infinite to itself."""
        return torch.cdist(self.places, self.places).fill_diagonal_(float("inf"))

    def near(self, descriptors: Tensor) -> Near:
        """What is usual near images, by their descriptors (N, D)."""
        places = (descriptors - self.centre) / self.scale
        # One way of computing, whatever the number of images: a graph has no other.
        distances = torch.cdist(places, self.places, compute_mode="use_mm_for_euclid_dist")
        return self._usual(distances)

    def relative(self, evidence: Tensor, near: Near) -> Tensor:
        """Evidence in spreads of the normals most like each image.

        Mean and variance of the neighbours are drawn towards those of all normals, 0 and 1: as if
        by `prior_count` more neighbours, and by the part of the share that is missing to 1. The
        share is what, in a least-squares fit, best predicts each remembered normal's evidence by
        its neighbours' mean: 0 where images that look alike are no more alike in their evidence.
        The normals' own results have spread 1.

        Args:
            evidence: (N, K), standardised like the remembered one.
            near: of the same images, or of the one image that all of it is of.
        """
        usual = self.shares * near.variance + 1 - self.shares
        return (evidence - self.shares * near.mean) / usual.sqrt() / self.spreads

    def _usual(self, distances: Tensor) -> Near:
        """Mean and variance of the nearest, by distances (N, M)."""
        nearest = distances.topk(self.neighbours, dim=1, largest=False).indices
        near = self.evidence[nearest]  # (N, neighbours, K)
        whole = self.neighbours + self.prior_count
        variance = self.neighbours * near.var(dim=1, correction=0) + self.prior_count
        return Near(mean=near.sum(dim=1) / whole, variance=variance / whole)

    def constants(self) -> dict[str, Any]:
        """All but the tensors, as JSON values."""
        return {
            "scale": self.scale,
            "neighbours": self.neighbours,
            "prior_count": self.prior_count,
        }

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
    def rebuild(
        cls, constants: dict[str, Any], tensors: dict[str, Tensor], *, width: int, kinds: int
    ) -> Self:
        """The inverse of `constants` and `tensors`.

        Args:
            constants: JSON values.
            tensors: by name.
            width: of a descriptor, D.
            kinds: of evidence, K.

        Raises:
            KeyError, TypeError, ValueError: if they do not fit together.
        """
        count = len(tensors["places"])
        forms = {
            "centre": ((width,), torch.float32),
            "places": ((count, width), torch.float16),
            "evidence": ((count, kinds), torch.float32),
            "shares": ((kinds,), torch.float32),
            "spreads": ((kinds,), torch.float32),
        }
        for name, form in forms.items():
            tensor = tensors[name]
            if (tuple(tensor.shape), tensor.dtype) != form or not tensor.isfinite().all():
                raise ValueError(f"the neighbourhood's {name} cannot be")
        neighbours = int(constants["neighbours"])
        scale, prior_count = float(constants["scale"]), float(constants["prior_count"])
        positive = all(0 < value < float("inf") for value in (scale, prior_count))
        if not 1 <= neighbours <= count or not positive:
            raise ValueError("the neighbourhood's constants cannot be")
        if tensors["spreads"].min() <= 0:
            raise ValueError("the neighbourhood has a spread that cannot be")
        if tensors["shares"].min() < 0 or tensors["shares"].max() > 1:
            raise ValueError("the neighbourhood's shares are none")
        values = {name: tensors[name].float() for name in forms}
        return cls(**values, scale=scale, neighbours=neighbours, prior_count=prior_count)
