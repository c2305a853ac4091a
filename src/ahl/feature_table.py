"""Feature rows of many images, gathered when they are needed."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ahl.feature_maps import FeatureLayout, FeatureMaps, append_channels

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
        factor: what every stored value read is multiplied by.
        further: (N, K, H_s, W_s) a scale, channels that are not stored but appended when read.

    Attributes:
        layout: shape of the maps in a row that is read.
    """

    def __init__(
        self,
        layout: FeatureLayout,
        shards: Sequence[Rows],
        shard_of: NDArray[np.int64],
        row_of: NDArray[np.int64],
        factor: float = 1.0,
        further: FeatureMaps | None = None,
    ) -> None:
        self.layout = layout if further is None else layout.with_channels(further[0].shape[1])
        self.factor = factor
        self._stored = layout
        self._shards = list(shards)
        self._shard_of, self._row_of = shard_of, row_of
        self._further = further
        self._resident: FeatureMaps | None = None

    @classmethod
    def of_rows(cls, layout: FeatureLayout, rows: Rows) -> FeatureTable:
        """A table over one array of rows (N, row_size)."""
        count = len(rows)
        return cls(layout, [rows], np.zeros(count, np.int64), np.arange(count, dtype=np.int64))

    def __len__(self) -> int:
        return len(self._row_of)

    def __add__(self, other: FeatureTable) -> FeatureTable:
        if (self.layout, self._stored, self.factor) != (other.layout, other._stored, other.factor):
            raise ValueError("tables of different layouts or factors cannot be joined")
        further = None
        if self._further is not None and other._further is not None:
            pairs = zip(self._further, other._further, strict=True)
            further = tuple(torch.cat(pair) for pair in pairs)
        return FeatureTable(
            self._stored,
            self._shards + other._shards,
            np.concatenate([self._shard_of, other._shard_of + len(self._shards)]),
            np.concatenate([self._row_of, other._row_of]),
            self.factor,
            further,
        )

    def chosen(self, indices: NDArray[np.int64]) -> FeatureTable:
        """The rows at the given indices, in their order."""
        further = self._further
        if further is not None:
            further = tuple(scale[torch.from_numpy(indices)] for scale in further)
        return FeatureTable(
            self._stored,
            self._shards,
            self._shard_of[indices],
            self._row_of[indices],
            self.factor,
            further,
        )

    def scaled(self, factor: float) -> FeatureTable:
        """The same rows, each stored value multiplied by `factor`; appended ones are not."""
        return FeatureTable(
            self._stored,
            self._shards,
            self._shard_of,
            self._row_of,
            self.factor * factor,
            self._further,
        )

    def joined(self, further: Sequence[Tensor]) -> FeatureTable:
        """The same rows with further channels (N, K, H_s, W_s) a scale behind the stored ones."""
        if self._further is not None:
            raise ValueError("the table has further channels already")
        return FeatureTable(
            self._stored, self._shards, self._shard_of, self._row_of, self.factor, tuple(further)
        )

    def rows(self, indices: NDArray[np.int64]) -> Tensor:
        """Float32 rows (n, row_size) of the samples at the given indices (n,)."""
        out = np.empty((len(indices), self._stored.row_size), dtype=np.float16)
        shard_of, row_of = self._shard_of[indices], self._row_of[indices]
        for shard in np.unique(shard_of):
            chosen = np.flatnonzero(shard_of == shard)
            out[chosen] = self._shards[shard][row_of[chosen]]
            _let_go(self._shards[shard])
        stored = torch.from_numpy(out).float().mul_(self.factor)
        if self._further is None:
            return stored
        return append_channels(
            stored, self._stored, [scale[torch.from_numpy(indices)] for scale in self._further]
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
                scale[flat].view(*indices.shape, *scale.shape[1:]).movedim(-1, -3)
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
