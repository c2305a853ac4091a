"""Feature rows of many images, gathered when they are needed."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from copy import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ahl.features.maps import FeatureLayout, FeatureMaps, append_channels, project_rows

Rows = NDArray[np.float16]

RESIDENT_BYTES = 512 * 2**20
"""Tables up to this size (as float32) are kept in memory during training."""


class FeatureTable:
    """The feature rows of a list of samples, in its order, wherever they lie.

    Args:
        layout: shape of the maps in a stored row.
        shards: arrays of rows, usually memory-mapped.
        shard_of: (N,) which shard each sample's row is in.
        row_of: (N,) its row there.

    Attributes:
        layout: shape of the maps in a row that is read.
        factor: what every stored value read is multiplied by.
    """

    def __init__(
        self,
        layout: FeatureLayout,
        shards: Sequence[Rows],
        shard_of: NDArray[np.int64],
        row_of: NDArray[np.int64],
    ) -> None:
        self.layout = self._stored = layout
        self.factor = 1.0
        self._shards = list(shards)
        self._shard_of, self._row_of = shard_of, row_of
        self._projection: Tensor | None = None
        self._further: FeatureMaps | None = None
        self._resident: FeatureMaps | None = None

    @classmethod
    def of_rows(cls, layout: FeatureLayout, rows: Rows) -> FeatureTable:
        """A table over one array of rows (N, row_size)."""
        count = len(rows)
        return cls(layout, [rows], np.zeros(count, np.int64), np.arange(count, dtype=np.int64))

    def __len__(self) -> int:
        return len(self._row_of)

    def __add__(self, other: FeatureTable) -> FeatureTable:
        if self._reading() != other._reading() or self._projection is not other._projection:
            raise ValueError("tables of different layouts, factors or projections cannot be joined")
        joined = self._copy()
        joined._shards = self._shards + other._shards
        joined._shard_of = np.concatenate([self._shard_of, other._shard_of + len(self._shards)])
        joined._row_of = np.concatenate([self._row_of, other._row_of])
        if self._further is not None and other._further is not None:
            pairs = zip(self._further, other._further, strict=True)
            joined._further = tuple(torch.cat(pair) for pair in pairs)
        return joined

    def chosen(self, indices: NDArray[np.int64]) -> FeatureTable:
        """The rows at the given indices, in their order."""
        chosen = self._copy()
        chosen._shard_of, chosen._row_of = self._shard_of[indices], self._row_of[indices]
        if self._further is not None:
            chosen._further = tuple(scale[torch.from_numpy(indices)] for scale in self._further)
        return chosen

    def scaled(self, factor: float) -> FeatureTable:
        """The same rows, each stored value multiplied by `factor`; appended ones are not."""
        scaled = self._copy()
        scaled.factor = self.factor * factor
        return scaled

    def projected(self, matrix: Tensor) -> FeatureTable:
        """The same rows, the stored vectors (C,) of all positions times a (C, K) matrix.

        Raises:
            ValueError: if there are a projection or further channels already.
        """
        if self._projection is not None or self._further is not None:
            raise ValueError("a table is projected once, before channels are appended")
        projected = self._copy()
        projected._projection = matrix
        projected.layout = self._stored.of_channels(matrix.shape[1])
        return projected

    def joined(self, further: Sequence[Tensor]) -> FeatureTable:
        """The same rows with further channels (N, K, H_s, W_s) a scale behind the stored ones.

        Raises:
            ValueError: if there are further channels already.
        """
        if self._further is not None:
            raise ValueError("the table has further channels already")
        joined = self._copy()
        joined._further = tuple(further)
        joined.layout = self.layout.with_channels(further[0].shape[1])
        return joined

    def _copy(self) -> FeatureTable:
        """The same table, but for what was kept in memory."""
        same = copy(self)
        same._resident = None
        return same

    def _reading(self) -> tuple[FeatureLayout, FeatureLayout, float]:
        return self._stored, self.layout, self.factor

    def rows(self, indices: NDArray[np.int64]) -> Tensor:
        """Float32 rows (n, row_size) of the samples at the given indices (n,)."""
        out = np.empty((len(indices), self._stored.row_size), dtype=np.float16)
        shard_of, row_of = self._shard_of[indices], self._row_of[indices]
        for shard in np.unique(shard_of):
            chosen = np.flatnonzero(shard_of == shard)
            out[chosen] = self._shards[shard][row_of[chosen]]
            _let_go(self._shards[shard])
        read, layout = torch.from_numpy(out).float(), self._stored
        if self._projection is not None:
            read = project_rows(read, layout, self._projection)
            layout = layout.of_channels(self._projection.shape[1])
        read = read.mul_(self.factor)
        if self._further is None:
            return read
        return append_channels(
            read, layout, [scale[torch.from_numpy(indices)] for scale in self._further]
        )

    def chunks(self, size: int = 256) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
        """All rows in order, `size` at a time, with their indices."""
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
        """Read everything into memory if it takes at most `limit` bytes; same values either way."""
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


def _let_go(rows: Rows) -> None:
    """Unmap what was read of a mapped file: it stays in the system's cache, not in ours.

    Otherwise a process comes to hold every row it has ever read.
    """
    mapped: object = rows.base  # numpy's types do not know what a mapped array rests on
    if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)
