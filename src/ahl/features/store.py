"""Feature rows on disk, memory-mapped: the cache that spares the backbone.

A store is a folder for one backbone, weights and image size. It holds immutable shards, each a file
of two arrays in NumPy's format: the keys, then their float16 rows. Shards are written under
temporary names and renamed, so a killed process leaves nothing half-written and two processes can
share a store.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ahl._common.files import written_whole
from ahl._common.schema import json_hash
from ahl.features.maps import FeatureLayout
from ahl.features.table import FeatureTable, Rows

SHARD_BYTES = 64 * 2**20
"""A shard is closed when it holds this many bytes: what an interruption can lose."""


class FeatureStore:
    """Feature rows by content key, in a folder below `root`, the folder of all stores.

    It is named by all that the rows depend on beside the image (backbone, weights, size; JSON).
    """

    def __init__(self, root: Path, identity: dict[str, Any], layout: FeatureLayout) -> None:
        self.folder: Path = root / json_hash(identity)[:16]
        self.layout = layout
        self.folder.mkdir(parents=True, exist_ok=True)
        self._shards: list[Rows] = []
        self._where: dict[str, tuple[int, int]] = {}
        for path in sorted(self.folder.glob("*.npy")):
            self._open(path)

    def _open(self, path: Path) -> None:
        """Take a shard in; one that is damaged is removed, and its rows made again."""
        try:
            keys, rows = _read_shard(path, self.layout.row_size)
        except _DAMAGE:
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
        return FeatureTable(self.layout, list(self._shards), places[:, 0], places[:, 1])

    def writer(self) -> contextlib.closing[ShardWriter]:
        """Add rows; what was added is kept also when the block ends by an exception."""
        return contextlib.closing(ShardWriter(self))

    def add_shard(self, keys: list[str], rows: Rows) -> None:
        """Write one shard and take it in."""
        name = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:24]
        path = self.folder / f"{name}.npy"
        if path.exists():
            # Another process was faster. Windows cannot replace a file that is mapped there.
            self._open(path)
            if all(key in self for key in keys):
                return
        with written_whole(path) as unfinished, unfinished.open("wb") as file:
            np.save(file, np.array([key.encode() for key in keys]), allow_pickle=False)
            np.save(file, rows, allow_pickle=False)
        self._open(path)


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
"""Errors of a damaged shard; others (memory, permissions) are not its fault."""


def _read_shard(path: Path, row_size: int) -> tuple[list[str], Rows]:
    """The keys and memory-mapped rows of a shard; raises one of `_DAMAGE` if it is damaged."""
    with path.open("rb") as file:
        keys = np.lib.format.read_array(file)
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        start = file.tell()
    if keys.dtype.kind != "S" or dtype != np.float16 or shape != (len(keys), row_size):
        raise ValueError(f"the arrays of {path} are no keys and their rows")
    rows = np.memmap(path, dtype=np.float16, mode="r", offset=start, shape=shape)
    return [key.decode() for key in keys.tolist()], rows


def default_store_root() -> Path:
    """The folder named by AHL_CACHE, else the user's cache folder."""
    from platformdirs import user_cache_path

    named = os.environ.get("AHL_CACHE")
    return Path(named) if named else user_cache_path("ahl") / "features"


@contextlib.contextmanager
def temporary_store_root() -> Iterator[Path]:
    """A store folder for one run, removed at its end."""
    with tempfile.TemporaryDirectory(prefix="ahl-features-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
