"""Shapes of feature maps at all scales, and their flat rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

HALF_MAXIMUM = 65504.0
"""Largest float16, to which rows are clipped, so that no infinity is stored."""

FeatureMaps = tuple[Tensor, ...]
"""One tensor per scale: (N, C, H_s, W_s) for a batch, (C, H_s, W_s) for one image."""


@dataclass(frozen=True)
class FeatureLayout:
    """Layout of the maps of all scales in one flat row.

    A row holds the scales one after another, each with the channels last (H, W, C), so that heads
    read positions as rows of a matrix without copying.
    """

    scales: tuple[tuple[int, int, int], ...]
    """(channels, height, width) of each scale, largest first."""

    def __post_init__(self) -> None:
        if not self.scales or any(len(s) != 3 or min(s) < 1 for s in self.scales):
            raise ValueError(f"not a feature layout: {self.scales}")
        if len({channels for channels, _, _ in self.scales}) != 1:
            raise ValueError("all scales must have the same number of channels")

    @property
    def channels(self) -> int:
        """Number of channels C, the same at every scale, as scales share heads."""
        return self.scales[0][0]

    @property
    def row_size(self) -> int:
        """Number of values in a flat row."""
        return sum(math.prod(scale) for scale in self.scales)

    def split(self, rows: Tensor) -> FeatureMaps:
        """View flat rows (..., row_size) as maps (..., C, H_s, W_s), without copying."""
        parts = torch.split(rows, [math.prod(scale) for scale in self.scales], dim=-1)
        return tuple(
            part.view(*part.shape[:-1], height, width, channels).movedim(-1, -3)
            for part, (channels, height, width) in zip(parts, self.scales, strict=True)
        )

    def join(self, maps: Sequence[Tensor]) -> Tensor:
        """Flatten maps (..., C, H_s, W_s) into rows (..., row_size): the inverse of `split`."""
        return torch.cat([m.movedim(-3, -1).flatten(-3) for m in maps], dim=-1)

    def of_channels(self, channels: int) -> FeatureLayout:
        """The layout with another number of channels and the same sizes."""
        return FeatureLayout(tuple((channels, h, w) for _, h, w in self.scales))

    def with_channels(self, further: int) -> FeatureLayout:
        """The layout with `further` more channels at every scale."""
        return self.of_channels(self.channels + further)

    @classmethod
    def of(cls, maps: Sequence[Tensor]) -> FeatureLayout:
        """The layout of maps (..., C, H_s, W_s)."""
        return cls(tuple((m.shape[-3], m.shape[-2], m.shape[-1]) for m in maps))


def pool_rows(rows: Tensor, layout: FeatureLayout) -> Tensor:
    """Global averages of all scales, concatenated: (N, row_size) -> (N, scales * C)."""
    return pool_maps(layout.split(rows))


def pool_maps(maps: FeatureMaps) -> Tensor:
    """Global averages of all scales, concatenated: maps (N, C, H_s, W_s) -> (N, scales * C)."""
    return torch.cat([scale.mean(dim=(-2, -1)) for scale in maps], dim=-1)


def project_maps(maps: FeatureMaps, matrix: Tensor) -> FeatureMaps:
    """Multiply every position by a (C, K) matrix, all at once: maps (N, K, H_s, W_s) per scale."""
    return tuple((scale.movedim(-3, -1) @ matrix).movedim(-1, -3) for scale in maps)


def project_rows(rows: Tensor, layout: FeatureLayout, matrix: Tensor) -> Tensor:
    """Multiply every position of rows by a (C, K) matrix; gives rows in `layout.of_channels(K)`.

    Images are multiplied one at a time: products of other heights may round differently, and an
    image's values must not depend on its batch.
    """
    scales = []
    for scale in layout.split(rows):
        positions = scale.movedim(-3, -1)
        projected = positions.new_empty(*positions.shape[:-1], matrix.shape[1])
        for image, vectors in enumerate(positions):
            projected[image] = vectors @ matrix
        scales.append(projected.flatten(1))
    return torch.cat(scales, dim=-1)


def append_channels(rows: Tensor, layout: FeatureLayout, further: Sequence[Tensor]) -> Tensor:
    """Append further channels, (N, K, H_s, W_s) per scale, to every position of rows.

    Rows of `layout` become rows in `layout.with_channels(K)`.
    """
    maps = layout.split(rows)
    together = [torch.cat(pair, dim=-3) for pair in zip(maps, further, strict=True)]
    return layout.with_channels(further[0].shape[-3]).join(together)
