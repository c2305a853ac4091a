"""What a small patch looks like, in numbers that need no labels: a target to learn from.

Two layers of filters are learned from drawn pictures by k-means (Coates and Ng, 2012), and their
responses are reduced to whitened principal components. On real images these plain filters were
better features than a network trained for a few hundred steps; a network that can predict them
knows what they know, and goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ahl.pretrain.contrast_layer import ContrastLayer
from ahl.randomness import numpy_generator

FILTERS: Final = (64, 128)
"""Of the two layers."""

DIMENSIONS: Final = 128
"""Principal components kept."""

GRID: Final = 8
"""Cells along a side in which a picture is described."""

LEARNED_FROM: Final = 300
"""Pictures that are enough to learn the filters from."""

_CONTRAST_FLOORS: Final = (0.046, 0.1)  # variances; the first is of values in 0..1
_BATCH: Final = 16
_SPREAD_FLOOR: Final = 0.01


class Describer(nn.Module):
    """Fixed filters and a fixed projection; use `learn` to make one."""

    inner_centre: Tensor
    inner_spread: Tensor
    centre: Tensor
    projection: Tensor

    def __init__(self) -> None:
        super().__init__()
        first, second = FILTERS
        self.first = ContrastLayer(first, 3, side=6, stride=2, contrast_floor=_CONTRAST_FLOORS[0])
        inner = self.first.channels + 3
        self.second = ContrastLayer(
            second, inner, side=3, stride=1, contrast_floor=_CONTRAST_FLOORS[1]
        )
        described = 2 * (inner + self.second.channels)
        self.register_buffer("inner_centre", torch.zeros(inner, 1, 1))
        self.register_buffer("inner_spread", torch.ones(inner, 1, 1))
        self.register_buffer("centre", torch.zeros(described))
        self.register_buffer("projection", torch.zeros(described, DIMENSIONS))

    @classmethod
    def learn(cls, pictures: NDArray[np.uint8], *, seed: int) -> Self:
        """Learn filters and projection.

        Args:
            pictures: (N, S, S, 3), good ones of many materials.
            seed: of the draws of patches and first centres.
        """
        describer = cls()
        images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
        scales = [images, functional.avg_pool2d(images, 2)]
        with torch.inference_mode():
            describer.first.learn(scales, numpy_generator(seed, "describer", "first"))
            inner = _run(describer._inner, images).double()
            describer.inner_centre.copy_(inner.mean((0, 2, 3)).view(-1, 1, 1))
            spread = inner.std((0, 2, 3)).clamp_min(_SPREAD_FLOOR)
            describer.inner_spread.copy_(spread.view(-1, 1, 1))
            maps = [_run(describer._inner, scale) for scale in scales]
            describer.second.learn(maps, numpy_generator(seed, "describer", "second"))
            rows = _run(describer._pooled, images).movedim(1, -1).flatten(0, 2).double()
            describer.centre.copy_(rows.mean(0))
            standard = (rows - rows.mean(0)) / rows.std(0).clamp_min(_SPREAD_FLOOR)
            _, sizes, axes = torch.linalg.svd(standard.T @ standard / len(standard))
            scale = rows.std(0).clamp_min(_SPREAD_FLOOR)[:, None] * sizes[:DIMENSIONS].sqrt()
            describer.projection.copy_(axes[:DIMENSIONS].T / scale)
        return describer.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Describe images (N, 3, S, S) in 0..1: (N, DIMENSIONS, GRID, GRID), mean 0, spread 1."""
        rows = self._pooled(images).movedim(1, -1)
        return ((rows - self.centre) @ self.projection).movedim(-1, 1)

    def _inner(self, images: Tensor) -> Tensor:
        maps = torch.cat([self.first(images), functional.avg_pool2d(images, 2)], dim=1)
        return (functional.avg_pool2d(maps, 2) - self.inner_centre) / self.inner_spread

    def _pooled(self, images: Tensor) -> Tensor:
        """Mean and largest response of every filter in every cell."""
        inner = self._inner(images)
        maps = torch.cat([inner, self.second(inner)], dim=1)
        mean = functional.adaptive_avg_pool2d(maps, GRID)
        return torch.cat([mean, functional.adaptive_max_pool2d(maps, GRID)], dim=1)


def _run(function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    return torch.cat([function(batch) for batch in torch.split(images, _BATCH)])
