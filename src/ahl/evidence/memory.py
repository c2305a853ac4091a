"""A memory of normal patches, and the distances of an image's patches from it.

The distance to the nearest remembered patch is evidence from normals alone. As a further channel of
the feature maps it covers defects that no label shows, and the heads learn its weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ahl._common.randomness import numpy_generator
from ahl._common.schema import Finite, Positive
from ahl._common.tensor_file import tensor_of
from ahl.config import MemoryConfig
from ahl.evidence.coreset import draw_patches, greedy_coreset, patches_of
from ahl.features.maps import FeatureMaps
from ahl.features.table import FeatureTable

LOWEST = -3.0
"""Lower bound of the evidence in standard deviations: being even nearer carries no information."""

CHUNK = 32
"""Number of images whose distances are computed together; bounds memory."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MemoryConstants:
    """The constants of a memory, without its patches.

    Attributes:
        means: mean distance of the training normals' patches, per scale.
        spreads: standard deviation of these distances, per scale.
        weight: size of the evidence per standard deviation.
        highest: upper bound of the evidence, in standard deviations.
    """

    means: tuple[Finite, ...]
    spreads: tuple[Positive, ...]
    weight: Positive
    highest: Finite


@dataclass(frozen=True, kw_only=True, eq=False)
class Memory(MemoryConstants):
    """Remembered patches, and the usual distances from them.

    Attributes:
        patches: (M, C) per scale, rounded to the half precision of the model file.
    """

    patches: tuple[Tensor, ...]

    def tensors(self) -> dict[str, Tensor]:
        """The patches by scale, in half precision, without loss."""
        return {str(scale): patches.half() for scale, patches in enumerate(self.patches)}

    @classmethod
    def read(cls, constants: MemoryConstants, tensors: dict[str, Tensor], *, width: int) -> Self:
        """Rebuild from constants and `tensors`, where C is `width`.

        Raises:
            ValueError: if they are inconsistent.
        """
        scales = range(len(tensors))
        patches = [tensor_of(tensors, str(i), torch.float16, None, width) for i in scales]
        if not all(len(each) for each in patches):
            raise ValueError("the memory holds no patches of a scale")
        if not len(constants.means) == len(constants.spreads) == len(patches):
            raise ValueError("the memory has a wrong number of scales")
        return cls(**vars(constants), patches=tuple(each.float() for each in patches))

    def including(self, patches: Sequence[Tensor]) -> Self:
        """Add further patches, (M, C) per scale; the usual distances are kept."""
        both = zip(self.patches, patches, strict=True)
        return replace(
            self, patches=tuple(torch.cat([own, new.half().float()]) for own, new in both)
        )

    def evidence(self, maps: FeatureMaps, forgotten: FeatureMaps | None = None) -> FeatureMaps:
        """Evidence (N, 1, H_s, W_s) per scale, one channel, for maps (N, C, H_s, W_s).

        Args:
            maps: feature maps, not yet scaled by `Preparation.factor`.
            forgotten: (N, M) per scale, true for patches to ignore for an image: its own.
        """
        found = []
        for scale, own in enumerate(maps):
            excluded = None if forgotten is None else forgotten[scale]
            distances = nearest(patches_of(own), self.patches[scale], self._halves[scale], excluded)
            spreads = (distances - self.means[scale]) / self.spreads[scale]
            evidence = self.weight * spreads.clamp(LOWEST, self.highest)
            found.append(evidence.view(-1, 1, *own.shape[-2:]))
        return tuple(found)

    @cached_property
    def _halves(self) -> tuple[Tensor, ...]:
        return tuple(_halves(patches) for patches in self.patches)


def nearest(
    patches: Tensor, remembered: Tensor, halves: Tensor, forgotten: Tensor | None
) -> Tensor:
    """Distance (N, P) of each patch to its nearest remembered one.

    By `|x - m|^2 = |x|^2 + 2 (|m|^2 / 2 - x m)`, one product per pair finds the nearest patch, in
    two thirds of the time of `torch.cdist`. Its distance is then computed from the difference, as
    the formula is inexact near zero.

    Args:
        patches: x, (N, P, C).
        remembered: m, (M, C).
        halves: (M,) `|m|^2 / 2`.
        forgotten: (N, M) true for remembered patches to ignore for an image.

    Returns:
        the distances; infinite where all patches are ignored.
    """
    product = halves - patches @ remembered.T
    if forgotten is not None:
        product = product.masked_fill(forgotten.unsqueeze(1), float("inf"))
    least = product.min(dim=-1)
    nearest_ones = remembered[least.indices]
    distances: Tensor = torch.linalg.vector_norm(patches - nearest_ones, dim=-1)
    # Where none counts, none is near.
    return distances if forgotten is None else distances.where(least.values.isfinite(), torch.inf)


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingMemory:
    """A memory, and the training normal that each of its patches comes from.

    Attributes:
        memory: the memory, as used for scoring.
        owners: (M,) per scale, index of each patch's training normal.
    """

    memory: Memory
    owners: tuple[NDArray[np.int64], ...]

    def joined(self, table: FeatureTable, normals: NDArray[np.int64] | None) -> FeatureTable:
        """Append the evidence to a table's maps as a further channel.

        Args:
            table: features, not yet scaled by `Preparation.factor`.
            normals: (N,) the training normal that each image is, or was made from, whose patches
                are ignored; None for labelled anomalies.
        """
        parts = []
        for indices, rows in table.chunks(CHUNK):
            forgotten = None
            if normals is not None:
                forgotten = tuple(_owned(owners, normals[indices]) for owners in self.owners)
            parts.append(self.memory.evidence(table.layout.split(rows), forgotten))
        return table.joined([torch.cat(scale) for scale in zip(*parts, strict=True)])


def build_memory(normals: FeatureTable, config: MemoryConfig, *, seed: int) -> TrainingMemory:
    """Build a memory of the training normals.

    Usual distances are measured on the same normals, each without its own patches.

    Args:
        normals: features of at least two normals.
        config: the constants; `patches` is at least 1.
        seed: seed of the draws.
    """
    random = numpy_generator(seed, "memory")
    remembered, owners, usual = [], [], []
    for scale in range(len(normals.layout.scales)):
        candidates, image = draw_patches(normals, scale, config.candidates, random)
        chosen = greedy_coreset(candidates, config.patches, random)
        remembered.append(candidates[chosen].half().float())
        owners.append(image[chosen.numpy()])
        usual.append(_usual(normals, scale, remembered[-1], owners[-1]))
    memory = Memory(
        patches=tuple(remembered),
        means=tuple(mean for mean, _ in usual),
        spreads=tuple(spread for _, spread in usual),
        weight=config.weight,
        highest=config.highest,
    )
    return TrainingMemory(memory=memory, owners=tuple(owners))


def _usual(
    normals: FeatureTable, scale: int, remembered: Tensor, owners: NDArray[np.int64]
) -> tuple[float, float]:
    """Mean and standard deviation of the normals' distances at a scale."""
    found = []
    for indices, rows in normals.chunks(CHUNK):
        patches = patches_of(normals.layout.split(rows)[scale])
        found.append(nearest(patches, remembered, _halves(remembered), _owned(owners, indices)))
    distances = torch.cat(found).double()
    # A memory of one image's patches alone has none left for that image.
    distances = distances[distances.isfinite()]
    if not len(distances):
        return 0.0, 1e-6
    mean, spread = float(distances.mean()), float(distances.std(correction=0))
    return mean, max(spread, 1e-3 * mean, 1e-6)


def _halves(patches: Tensor) -> Tensor:
    """Half the squared norms (M,) of patches (M, C)."""
    return patches.square().sum(dim=1) / 2


def _owned(owners: NDArray[np.int64], images: NDArray[np.int64]) -> Tensor:
    """Mask (N, M), true where a remembered patch comes from the image."""
    return torch.from_numpy(images[:, None] == owners[None, :])
