"""Inputs of a run: image paths and rows of Parquet files, cut into shards."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

from ahl._common.callbacks import Callback
from ahl._common.errors import DataError
from ahl._common.schema import json_hash
from ahl.apps.bulk.places import filesystem_of, is_url, located, parquet_file, place_errors
from ahl.data.images.finding import MAGIC, expand_paths, is_system
from ahl.data.images.formats import IMAGE_SUFFIXES

PARQUET_SUFFIXES: Final = (".parquet", ".pq")

_HELD: Final = ("string", "binary")  # types of columns; each also large_... and ..._view


class PathPart(msgspec.Struct, frozen=True, tag=True):
    """Image files, by path or URL."""

    paths: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def slice(self, start: int, stop: int) -> PathPart:
        """The part from `start` up to `stop`."""
        return PathPart(self.paths[start:stop])


class RowPart(msgspec.Struct, frozen=True, tag=True):
    """Rows of a Parquet file that hold images, or paths of images, in one column.

    Attributes:
        file: path or URL of the Parquet file.
        column: holds strings (paths or URLs), bytes (encoded images), or both as a struct
            `bytes`, `path`.
        first: number of the first row.
        count: how many rows.
        size: bytes of the whole file, to tell it from another file of the same name.
    """

    file: str
    column: str
    first: int
    count: int
    size: int

    def __len__(self) -> int:
        return self.count

    def slice(self, start: int, stop: int) -> RowPart:
        """The part from `start` up to `stop`."""
        count = max(0, min(stop, self.count) - start)
        return RowPart(self.file, self.column, self.first + start, count, self.size)


Part = PathPart | RowPart
"""Images in order that can be read independently of other parts."""


def find_inputs(
    inputs: Sequence[str], column: str, callback: Callback | None = None, *, output: str = ""
) -> list[Part]:
    """Find the images of files, folders and patterns; of Parquet files only footers are read.

    Args:
        inputs: each a file, a folder (searched through) or a pattern, of images or of Parquet
            files, on this machine or as a URL.
        column: of the Parquet files.
        callback: receives notes, as on files that are left out.
        output: folder for results, whose files are not inputs.

    Returns:
        parts in the order of the inputs, with at least one image each; no file twice.

    Raises:
        DataError: if an input matches nothing, or a Parquet file lacks the column.
        ConfigurationError: if the package that opens such URLs is not installed.
    """
    found: dict[str, str] = {}  # by absolute path or URL
    base, callback = str(Path.cwd()), callback or Callback()
    inside = f"{located(output, base).rstrip('/')}/"
    for is_local, group in itertools.groupby(inputs, key=_is_local_image):
        together = list(group)  # of several files, some may be masks of others
        listed = _local_images(together, callback) if is_local else None
        for path in listed or itertools.chain.from_iterable(map(_files, together)):
            if not (output and located(path, base).startswith(inside)):
                found.setdefault(located(path, base), path)
    if any(is_url(path) and not _is_table(path) for path in found.values()):
        callback.on_note("Masks behind URLs are not recognised: all images are scored.")
    parts: list[Part] = []
    for tabular, group in itertools.groupby(found.values(), key=_is_table):
        paths = tuple(group)
        parts += [_rows(path, column) for path in paths] if tabular else [PathPart(paths)]
    parts = [part for part in parts if len(part)]
    if not parts:
        raise DataError("The Parquet files have no rows.")
    return parts


def cut(parts: Sequence[Part], shard_size: int) -> list[Part]:
    """Cut parts into shards of at most `shard_size` images; none spans two parts."""
    return [
        part.slice(start, start + shard_size)
        for part in parts
        for start in range(0, len(part), shard_size)
    ]


def inputs_digest(parts: Sequence[Part]) -> str:
    """Hash of the inputs: names in their order and sizes of Parquet files, not contents."""
    return json_hash(msgspec.to_builtins(parts))


def state_of(part: Part, base: str) -> str:
    """Hash of the sizes and modification times of a shard's files that are on this machine.

    Args:
        part: the shard.
        base: folder that relative paths begin from.
    """
    files = part.paths if isinstance(part, PathPart) else (part.file,)
    return json_hash([_size_and_time(located(file, base)) for file in files])


def _size_and_time(place: str) -> tuple[int, int] | None:
    """Size in bytes and modification time of a file; None behind a URL, or if it is missing."""
    try:
        status = None if is_url(place) else Path(place).stat()
    except (OSError, ValueError):
        return None
    return None if status is None else (status.st_size, status.st_mtime_ns)


def _is_table(path: str) -> bool:
    return path.lower().endswith(PARQUET_SUFFIXES)


def _is_local_image(pattern: str) -> bool:
    return not is_url(pattern) and not _is_table(pattern)


def _local_images(patterns: Sequence[str], callback: Callback) -> list[str]:
    found = expand_paths(patterns)
    for note in found.notes():
        callback.on_note(note)
    return [str(path) for path in found.images]


def _files(pattern: str) -> list[str]:
    """Files behind a URL, or Parquet files by path or pattern."""
    if is_url(pattern):
        return _remote_files(pattern)
    if not MAGIC.intersection(pattern):
        return [str(Path(pattern))]
    start = Path(Path(pattern).anchor)
    paths = sorted(start.glob(str(Path(pattern).relative_to(start))))
    if not paths:
        raise DataError(f"The pattern {pattern} matches no Parquet file.")
    return [str(path) for path in paths]


def _remote_files(url: str) -> list[str]:
    filesystem, path = filesystem_of(url)
    suffixes = PARQUET_SUFFIXES if _is_table(url) else tuple(sorted(IMAGE_SUFFIXES))
    with place_errors(url):
        if MAGIC.intersection(path):
            found = sorted(filesystem.glob(path))
        elif path.lower().endswith(suffixes):
            found = [path]  # not asked whether it is there: reading it reports that
        else:
            found = sorted(filesystem.find(path))
    if found != [path]:
        found = [
            one
            for one in found
            if PurePosixPath(one).suffix.lower() in suffixes
            and not any(is_system(part) for part in one.removeprefix(path).split("/"))
        ]
    if not found:
        raise DataError(
            f"There is nothing to score at {url} ({', '.join(suffixes)}); check the URL."
        )
    return [filesystem.unstrip_protocol(one) for one in found]


def _rows(file: str, column: str) -> RowPart:
    """All rows of a Parquet file."""
    import pyarrow as pa

    filesystem, path = filesystem_of(file)
    with parquet_file(file) as opened:
        schema, count = opened.schema_arrow, opened.metadata.num_rows
        size = int(filesystem.size(path))
    if column not in schema.names:
        raise DataError(
            f"{file} has no column {column!r}; name one of {', '.join(schema.names)} with --column."
        )
    holds = kind = schema.field(column).type
    if pa.types.is_dictionary(kind):
        holds = kind.value_type
    elif pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        holds = kind.field("bytes").type
    if str(holds).removeprefix("large_").removesuffix("_view") not in _HELD:
        raise DataError(
            f"Column {column!r} of {file} holds {kind}; give one with paths (strings) or with "
            "encoded images (bytes)."
        )
    return RowPart(file, column, 0, count, size)
