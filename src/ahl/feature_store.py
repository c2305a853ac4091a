"""Feature rows on disk, memory-mapped: the cache that spares the backbone.

A store is a folder for one backbone, weights and image size. It holds immutable shards, each a
`.npy` of float16 rows and a `.json` of their keys; a shard exists once its `.json` does. Both
are written under temporary names and renamed, so a killed process leaves nothing half-written
and two processes can share a store.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ahl.feature_maps import FeatureLayout, FeatureMaps
from ahl.files import written_whole

Rows = NDArray[np.float16]

SHARD_BYTES = 64 * 2**20
"""A shard is closed when it holds this many bytes: what an interruption can lose."""

LEFTOVER_SECONDS = 24 * 3600
"""Age at which a file that belongs to no shard is taken for a killed writer's."""

RESIDENT_BYTES = 512 * 2**20
"""Tables up to this size (as float32) are kept in memory during training."""


class FeatureTable:
    """The feature rows of a list of samples, in its order, wherever they lie.

    Args:
        layout: shape of the maps in a row.
        shards: arrays of rows, usually memory-mapped.
        shard_of: (N,) which shard each sample's row is in.
        row_of: (N,) its row there.
        factor: what every value read is multiplied by.
    """

    def __init__(
        self,
        layout: FeatureLayout,
        shards: Sequence[Rows],
        shard_of: NDArray[np.int64],
        row_of: NDArray[np.int64],
        factor: float = 1.0,
    ) -> None:
        self.layout = layout
        self.factor = factor
        self._shards = list(shards)
        self._shard_of, self._row_of = shard_of, row_of
        self._resident: FeatureMaps | None = None

    @classmethod
    def of_rows(cls, layout: FeatureLayout, rows: Rows) -> FeatureTable:
        """A table over one array of rows (N, row_size)."""
        count = len(rows)
        return cls(layout, [rows], np.zeros(count, np.int64), np.arange(count, dtype=np.int64))

    def __len__(self) -> int:
        return len(self._row_of)

    def __add__(self, other: FeatureTable) -> FeatureTable:
        if self.layout != other.layout or self.factor != other.factor:
            raise ValueError("tables of different layouts or factors cannot be joined")
        return FeatureTable(
            self.layout,
            self._shards + other._shards,
            np.concatenate([self._shard_of, other._shard_of + len(self._shards)]),
            np.concatenate([self._row_of, other._row_of]),
            self.factor,
        )

    def scaled(self, factor: float) -> FeatureTable:
        """The same rows, each value multiplied by `factor`."""
        return FeatureTable(
            self.layout, self._shards, self._shard_of, self._row_of, self.factor * factor
        )

    def rows(self, indices: NDArray[np.int64]) -> Tensor:
        """Float32 rows (n, row_size) of the samples at the given indices (n,)."""
        out = np.empty((len(indices), self.layout.row_size), dtype=np.float16)
        shard_of, row_of = self._shard_of[indices], self._row_of[indices]
        for shard in np.unique(shard_of):
            chosen = np.flatnonzero(shard_of == shard)
            out[chosen] = self._shards[shard][row_of[chosen]]
        return torch.from_numpy(out).float().mul_(self.factor)

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
        if self._resident is None and 4 * len(self) * self.layout.row_size <= limit:
            rows = self.layout.split(self.rows(np.arange(len(self), dtype=np.int64)))
            self._resident = tuple(scale.movedim(-3, -1).contiguous() for scale in rows)


class FeatureStore:
    """Feature rows by content key, in a folder.

    Args:
        root: folder of all stores; created when needed.
        identity: what the rows depend on beside the image (backbone, weights, size); JSON.
        layout: shape of the maps in a row.
    """

    def __init__(self, root: Path, identity: dict[str, Any], layout: FeatureLayout) -> None:
        text = json.dumps(identity, sort_keys=True)
        self.folder = root / hashlib.sha256(text.encode()).hexdigest()[:16]
        self.layout = layout
        self.folder.mkdir(parents=True, exist_ok=True)
        self._shards: list[Rows] = []
        self._where: dict[str, tuple[int, int]] = {}
        _sweep(self.folder)
        for listing in sorted(self.folder.glob("*.json")):
            self._open(listing)

    def _open(self, listing: Path) -> None:
        """Take a shard in; one that is damaged is removed, and its rows made again."""
        try:
            keys, rows = _read_shard(listing, self.layout.row_size)
        except _DAMAGE:
            for path in (listing, listing.with_suffix(".npy")):
                path.unlink(missing_ok=True)
            return
        number = len(self._shards)
        self._shards.append(rows)
        for row, key in enumerate(keys):
            self._where.setdefault(key, (number, row))

    def __contains__(self, key: str) -> bool:
        return key in self._where

    def table(self, keys: Sequence[str]) -> FeatureTable:
        """The rows of the keys, in their order; every key must be in the store."""
        places = np.array([self._where[key] for key in keys], dtype=np.int64).reshape(-1, 2)
        return FeatureTable(self.layout, self._shards, places[:, 0], places[:, 1])

    @contextlib.contextmanager
    def writer(self) -> Iterator[ShardWriter]:
        """Add rows; what was added is kept also when the block ends by an exception."""
        writer = ShardWriter(self)
        try:
            yield writer
        finally:
            writer.close()

    def add_shard(self, keys: list[str], rows: Rows) -> None:
        """Write one shard and take it in."""
        name = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:24]
        if (self.folder / f"{name}.json").exists():
            # Another process was faster. Windows cannot replace a file that is mapped there.
            self._open(self.folder / f"{name}.json")
            if all(key in self for key in keys):
                return
        with written_whole(self.folder / f"{name}.npy") as path, path.open("wb") as file:
            np.save(file, rows, allow_pickle=False)
        with written_whole(self.folder / f"{name}.json") as path:
            path.write_text(json.dumps(keys), encoding="utf-8")
        self._open(self.folder / f"{name}.json")


def _sweep(folder: Path) -> None:
    """Remove what killed writers left a day ago or earlier; younger files may be in use."""
    leftovers = [
        *folder.glob(".*.part"),
        *(p for p in folder.glob("*.npy") if not p.with_suffix(".json").exists()),
    ]
    for path in leftovers:
        with contextlib.suppress(OSError):  # another process may have been faster
            if time.time() - path.stat().st_mtime > LEFTOVER_SECONDS:
                path.unlink()


class ShardWriter:
    """Collects rows into shards of a store."""

    def __init__(self, store: FeatureStore) -> None:
        self._store = store
        self._keys: list[str] = []
        self._rows: list[Rows] = []
        self._bytes = 0

    def add(self, keys: list[str], rows: Rows) -> None:
        """Add rows (n, row_size) under n keys."""
        self._keys += keys
        self._rows.append(rows)
        self._bytes += rows.nbytes
        if self._bytes >= SHARD_BYTES:
            self.close()

    def close(self) -> None:
        """Write what has been collected."""
        if self._keys:
            self._store.add_shard(self._keys, np.concatenate(self._rows))
        self._keys, self._rows, self._bytes = [], [], 0


_DAMAGE = (FileNotFoundError, ValueError, TypeError, SyntaxError, tokenize.TokenError)
"""What reading a damaged shard raises; other errors (memory, permissions) are not its fault."""


def _read_shard(listing: Path, row_size: int) -> tuple[list[str], Rows]:
    """The keys and memory-mapped rows of a shard; raises one of `_DAMAGE` if it is damaged."""
    keys = json.loads(listing.read_text(encoding="utf-8"))
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ValueError(f"{listing} is not a list of keys")
    rows = np.lib.format.open_memmap(listing.with_suffix(".npy"), mode="r")
    if rows.dtype != np.float16 or rows.shape != (len(keys), row_size):
        raise ValueError(f"the rows of {listing} have another shape")
    return keys, rows


def default_store_root() -> Path:
    """The folder named by AHL_CACHE, else the user's cache folder."""
    from platformdirs import user_cache_path

    named = os.environ.get("AHL_CACHE")
    return Path(named) if named else user_cache_path("ahl") / "features"


@contextlib.contextmanager
def temporary_store_root() -> Iterator[Path]:
    """A store folder for one run, removed at its end."""
    folder = Path(tempfile.mkdtemp(prefix="ahl-features-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
