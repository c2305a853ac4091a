"""Tables of feature rows, gathered on demand from shards or arrays."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ahl._common.errors import DataError
from ahl.features.maps import (
    HALF_MAXIMUM,
    FeatureLayout,
    FeatureMaps,
    append_channels,
    project_rows,
)

Rows = NDArray[np.float16]

Maps = ArrayLike | Sequence[ArrayLike]
"""Feature maps (N, C, H, W), or a sequence of such, one per scale, largest first."""

RESIDENT_BYTES = 512 * 2**20
"""Largest size in bytes (as float32) at which a table is kept in memory during training."""


@dataclass(eq=False)
class FeatureTable:
    """The feature rows of a sequence of samples, in memory or in memory-mapped shards.

    Attributes:
        stored: shape of the maps in a stored row.
        factor: factor on every stored value.
    """

    stored: FeatureLayout
    _shards: list[Rows]  # arrays of rows, usually memory-mapped
    _shard_of: NDArray[np.int64]  # (N,) which shard each sample's row is in
    _row_of: NDArray[np.int64]  # (N,) its row there
    factor: float = 1.0
    _projection: Tensor | None = None
    _further: FeatureMaps | None = None
    _resident: FeatureMaps | None = field(default=None, init=False)  # each table reads its own

    @classmethod
    def of_rows(cls, layout: FeatureLayout, rows: Rows) -> FeatureTable:
        """Make a table of one array of rows (N, row_size)."""
        count = len(rows)
        return cls(layout, [rows], np.zeros(count, np.int64), np.arange(count, dtype=np.int64))

    @cached_property
    def layout(self) -> FeatureLayout:
        """Shape of the maps in a row, with projection and appended channels."""
        layout = self.stored
        if self._projection is not None:
            layout = layout.of_channels(self._projection.shape[1])
        return layout if self._further is None else layout.with_channels(self._further[0].shape[1])

    def __len__(self) -> int:
        return len(self._row_of)

    def __add__(self, other: FeatureTable) -> FeatureTable:
        if (self.stored, self.layout, self.factor) != (
            other.stored,
            other.layout,
            other.factor,
        ) or self._projection is not other._projection:
            raise ValueError("tables of different layouts, factors or projections cannot be joined")
        further = None
        if self._further is not None and other._further is not None:
            pairs = zip(self._further, other._further, strict=True)
            further = tuple(torch.cat(pair) for pair in pairs)
        return replace(
            self,
            _shards=self._shards + other._shards,
            _shard_of=np.concatenate([self._shard_of, other._shard_of + len(self._shards)]),
            _row_of=np.concatenate([self._row_of, other._row_of]),
            _further=further,
        )

    def chosen(self, indices: NDArray[np.int64]) -> FeatureTable:
        """Table of the rows at these indices, in their order."""
        return replace(
            self,
            _shard_of=self._shard_of[indices],
            _row_of=self._row_of[indices],
            _further=None if self._further is None else tuple(self._further_at(indices)),
        )

    def scaled(self, factor: float) -> FeatureTable:
        """Table with every stored value multiplied by `factor`; appended channels are not."""
        return replace(self, factor=self.factor * factor)

    def projected(self, matrix: Tensor) -> FeatureTable:
        """Table with the stored vectors (C,) of all positions multiplied by a (C, K) matrix.

        Raises:
            ValueError: if the table already has a projection or appended channels.
        """
        if self._projection is not None or self._further is not None:
            raise ValueError("a table is projected once, before channels are appended")
        return replace(self, _projection=matrix)

    def joined(self, further: Sequence[Tensor]) -> FeatureTable:
        """Table with further channels, (N, K, H_s, W_s) per scale, behind the stored ones.

        Raises:
            ValueError: if the table already has appended channels.
        """
        if self._further is not None:
            raise ValueError("the table has further channels already")
        return replace(self, _further=tuple(further))

    def _further_at(self, indices: NDArray[np.int64]) -> list[Tensor]:
        return [scale[torch.from_numpy(indices)] for scale in self._further or ()]

    def rows(self, indices: NDArray[np.int64]) -> Tensor:
        """Float32 rows (n, row_size) of the samples at the given indices (n,)."""
        out = np.empty((len(indices), self.stored.row_size), dtype=np.float16)
        shard_of, row_of = self._shard_of[indices], self._row_of[indices]
        for shard in np.unique(shard_of):
            chosen = np.flatnonzero(shard_of == shard)
            out[chosen] = self._shards[shard][row_of[chosen]]
            let_go(self._shards[shard])
        read, layout = torch.from_numpy(out).float(), self.stored
        if self._projection is not None:
            read = project_rows(read, layout, self._projection)
            layout = layout.of_channels(self._projection.shape[1])
        read = read.mul_(self.factor)
        if self._further is None:
            return read
        return append_channels(read, layout, self._further_at(indices))

    def chunks(self, size: int = 256) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
        """Yield all rows in order, `size` at a time, with their indices."""
        for start in range(0, len(self), size):
            indices = np.arange(start, min(start + size, len(self)), dtype=np.int64)
            yield indices, self.rows(indices)

    def maps(self, indices: Tensor) -> FeatureMaps:
        """Float32 maps (..., C, H_s, W_s) of the samples at the given indices (...)."""
        flat = indices.reshape(-1)
        if self._resident is not None:
            return tuple(
                scale.index_select(0, flat).view(*indices.shape, *scale.shape[1:]).movedim(-1, -3)
                for scale in self._resident
            )
        # Each scale is made contiguous: heads flatten positions, which a slice of a row forbids.
        scales = [
            m.movedim(-3, -1).contiguous() for m in self.layout.split(self.rows(flat.numpy()))
        ]
        return tuple(
            scale.view(*indices.shape, *scale.shape[1:]).movedim(-1, -3) for scale in scales
        )

    def keep_resident(self, limit: int = RESIDENT_BYTES) -> None:
        """Read the table into memory if it takes at most `limit` bytes; values do not change."""
        if self._resident is not None or 4 * len(self) * self.layout.row_size > limit:
            return
        resident = tuple(
            torch.empty(len(self), height, width, channels)
            for channels, height, width in self.layout.scales
        )
        # By chunks: all rows at once, converted and with channels appended, take four times this.
        for indices, rows in self.chunks():
            for whole, part in zip(resident, self.layout.split(rows), strict=True):
                whole[indices[0] : indices[-1] + 1] = part.movedim(-3, -1)
        self._resident = resident


def table_of_maps(maps: Maps) -> FeatureTable:
    """Make a table of float16 rows, as those of images, from feature maps.

    Raises:
        DataError: if they are not maps, have inconsistent shapes, or exceed float16.
    """
    try:
        array = np.asarray(maps, dtype=np.float32)
        scales = [array] if array.ndim == 4 else list(array)
    except ValueError:  # scales of different sizes make no one array
        scales = [np.asarray(scale, dtype=np.float32) for scale in maps]  # type: ignore[union-attr]
    if any(scale.ndim != 4 or 0 in scale.shape[1:] for scale in scales):
        raise DataError("Feature maps must be (N, C, H, W), or a sequence of such, one a scale.")
    if len({(len(scale), scale.shape[1]) for scale in scales}) != 1:
        raise DataError("All scales need the same number of images and channels.")
    if not all((np.abs(scale) <= HALF_MAXIMUM).all() for scale in scales):
        raise DataError(
            f"The feature maps hold values that are not finite or beyond {HALF_MAXIMUM:g}, the "
            "largest float16: scale them down."
        )
    tensors = [torch.from_numpy(scale) for scale in scales]
    layout = FeatureLayout.of(tensors)
    return FeatureTable.of_rows(layout, layout.join(tensors).half().numpy())


def let_go(rows: Rows) -> None:
    """Release the pages of a memory-mapped file that were read.

    Otherwise a process would come to hold every row it has ever read.
    """
    mapped: object = rows.base  # numpy's types do not know what a mapped array rests on
    if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)
