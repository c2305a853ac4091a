"""Cache of feature rows on disk, memory-mapped.

A store is a folder for one backbone, weights and image size. It holds immutable shards, each a file
of three arrays in NumPy's format: keys, checksums of keys and rows, and float16 rows. Shards are
written under temporary names and renamed, so that a killed process leaves no incomplete shard and
several processes can share a store.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import tokenize
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ahl._common.callbacks import Callback
from ahl._common.files import mark_output, written_whole
from ahl._common.schema import json_hash
from ahl._common.text import first_line
from ahl.features.maps import FeatureLayout
from ahl.features.table import FeatureTable, Rows, let_go

SHARD_BYTES = 64 * 2**20
"""Size in bytes at which a shard is written; an interruption loses at most this much."""


class FeatureStore:
    """Store of feature rows by content key, in a subfolder of `root`.

    The subfolder is named by a hash of `identity`: everything that the rows depend on except the
    image (backbone, weights, size), as JSON values.
    """

    def __init__(self, root: Path, identity: dict[str, Any], layout: FeatureLayout) -> None:
        self.folder: Path = root / json_hash(identity)[:16]
        self.layout = layout
        if not root.exists():
            mark_output(root)
        mark_output(self.folder)  # the one around it may be a folder of images
        self._shards: list[_Shard] = []
        self._where: dict[str, tuple[int, int]] = {}
        for path in sorted(self.folder.glob("*.npy")):
            self._open(path)

    def _open(self, path: Path) -> None:
        """Open a shard; a damaged one is removed, so that its rows are extracted again."""
        try:
            shard = _read_shard(path, self.layout.row_size)
        except _DAMAGE:
            path.unlink(missing_ok=True)
            return
        number = len(self._shards)
        self._shards.append(shard)
        for row, key in enumerate(shard.keys):
            self._where.setdefault(key, (number, row))

    def __contains__(self, key: str) -> bool:
        return key in self._where

    def verify(self, keys: Iterable[str]) -> None:
        """Verify the checksums of the rows of these keys; remove shards with a wrong one."""
        wanted: defaultdict[int, list[int]] = defaultdict(list)
        for key in set(keys) & self._where.keys():
            number, row = self._where[key]
            wanted[number].append(row)
        damaged = {
            number for number, rows in wanted.items() if not self._shards[number].holds(rows)
        }
        for number in damaged:
            self._shards[number].path.unlink(missing_ok=True)
        if damaged:
            self._where = {key: at for key, at in self._where.items() if at[0] not in damaged}

    def table(self, keys: Sequence[str]) -> FeatureTable:
        """Table of the rows of these keys, in their order; every key must be in the store."""
        places = np.array([self._where[key] for key in keys], dtype=np.int64).reshape(-1, 2)
        rows = [shard.rows for shard in self._shards]
        return FeatureTable(self.layout, rows, places[:, 0], places[:, 1])

    def writer(self) -> contextlib.closing[ShardWriter]:
        """Open a writer for a `with` block; added rows are kept if the block raises."""
        return contextlib.closing(ShardWriter(self))

    def add_shard(self, keys: list[str], rows: Rows) -> None:
        """Write a shard and open it."""
        name = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:24]
        path = self.folder / f"{name}.npy"
        if path.exists():
            # Another process was faster. Windows cannot replace a file that is mapped there.
            self._open(path)
            if all(key in self for key in keys):
                return
        with written_whole(path) as unfinished, unfinished.open("wb") as file:
            encoded = np.array([key.encode() for key in keys])
            sums = [_checksum(*pair) for pair in zip(keys, rows, strict=True)]
            for array in (encoded, np.array(sums, dtype=np.uint32), rows):
                np.save(file, array, allow_pickle=False)
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
        """Write the remaining rows."""
        if self._keys:
            self._store.add_shard(self._keys, np.concatenate(self._rows))
        self._keys, self._rows, self._bytes = [], [], 0


_DAMAGE = (FileNotFoundError, ValueError, TypeError, SyntaxError, tokenize.TokenError)
"""Errors that show a damaged shard; others (memory, permissions) do not."""


@dataclass(frozen=True, eq=False)
class _Shard:
    """An open shard: its file, its keys, checksums (n,) and memory-mapped rows (n, row_size)."""

    path: Path
    keys: list[str]
    sums: NDArray[np.uint32]
    rows: Rows

    def holds(self, rows: Iterable[int]) -> bool:
        """True if the checksums of these rows are right."""
        same = all(_checksum(self.keys[i], self.rows[i]) == self.sums[i] for i in rows)
        let_go(self.rows)
        return same


def _checksum(key: str, row: Rows) -> int:
    """Checksum of a row and its key, against damage but not against forgery."""
    return zlib.crc32(row.data, zlib.crc32(key.encode()))


def _read_shard(path: Path, row_size: int) -> _Shard:
    """Open a shard; raises one of `_DAMAGE` if it is damaged."""
    with path.open("rb") as file:
        keys, sums = (np.lib.format.read_array(file) for _ in range(2))
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        start = file.tell()
    count = (keys.size,)
    if (keys.shape, sums.shape, shape) != (count, count, (keys.size, row_size)) or (
        keys.dtype.kind != "S" or sums.dtype != np.uint32 or dtype != np.float16
    ):
        raise ValueError(f"the arrays of {path} are not keys, checksums and rows")
    rows = np.memmap(path, dtype=np.float16, mode="r", offset=start, shape=shape)
    return _Shard(path, [key.decode() for key in keys.tolist()], sums, rows)


def default_store_root() -> Path:
    """Folder in the variable AHL_CACHE, else the user's cache folder."""
    from platformdirs import user_cache_path

    named = os.environ.get("AHL_CACHE")
    return Path(named) if named else user_cache_path("ahl") / "features"


def store_root(cache: str | Path | None, callback: Callback) -> Path | None:
    """Folder of a permanent cache; None if there is none.

    Args:
        cache: the folder; `"auto"` for the user's cache folder, if it is writable; None for none.
        callback: receives a note if the user's cache folder is not writable.
    """
    if cache != "auto":
        return None if cache is None else Path(cache)
    root = default_store_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            return root
    except OSError as error:
        callback.on_note(
            f"Nothing is cached beyond this run, because {root} cannot be written to "
            f"({first_line(error)}); choose another folder by --cache FOLDER."
        )
        return None


@contextlib.contextmanager
def temporary_store_root() -> Iterator[Path]:
    """Yield a temporary store folder, removed after the block."""
    with tempfile.TemporaryDirectory(prefix="ahl-features-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
