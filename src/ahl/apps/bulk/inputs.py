"""What a user names becomes image paths and rows of Parquet files, cut into shards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from ahl._common.errors import DataError
from ahl.apps.bulk.places import filesystem_of, is_url, parquet_file, place_errors
from ahl.data.images.finding import IMAGE_SUFFIXES, MAGIC, expand_paths

PARQUET_SUFFIXES: Final = (".parquet", ".pq")


@dataclass(frozen=True, slots=True)
class PathPart:
    """Image files, by path or URL."""

    paths: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def slice(self, start: int, stop: int) -> PathPart:
        """Those from `start` up to `stop`."""
        return PathPart(self.paths[start:stop])


@dataclass(frozen=True, slots=True)
class RowPart:
    """Rows of a Parquet file that hold images, or paths of images, in one column.

    Attributes:
        file: path or URL of the Parquet file.
        column: holds strings (paths or URLs), bytes (encoded images), or both as a struct
            `bytes`, `path`.
        first: number of the first row.
        count: how many rows.
        size: bytes of the whole file, to tell it from another one of its name.
    """

    file: str
    column: str
    first: int
    count: int
    size: int

    def __len__(self) -> int:
        return self.count

    def slice(self, start: int, stop: int) -> RowPart:
        """Those from `start` up to `stop`."""
        count = max(0, min(stop, self.count) - start)
        return RowPart(self.file, self.column, self.first + start, count, self.size)


Part = PathPart | RowPart
"""A run of images that can be read without looking at any other part."""


def find_inputs(inputs: Sequence[str], column: str) -> list[Part]:
    """What a user typed, as parts in its order; only footers of Parquet files are read.

    Args:
        inputs: each a file, a folder (searched through) or a pattern, of images or of Parquet
            files, on this machine or as a URL.
        column: of the Parquet files.

    Returns:
        parts with at least one image each; no file twice.

    Raises:
        DataError: if one names nothing, or a Parquet file lacks the column.
        ConfigurationError: if what opens such URLs is not installed.
    """
    parts: list[Part] = []
    seen: set[str] = set()
    pending: list[str] = []
    for one in inputs:
        tabular = one.lower().endswith(PARQUET_SUFFIXES)
        found = _remote_files(one, tabular) if is_url(one) else _local_files(one, tabular)
        for key, path in found:
            if key in seen:
                continue
            seen.add(key)
            if not tabular:
                pending.append(path)
                continue
            if pending:
                parts.append(PathPart(tuple(pending)))
                pending = []
            rows = _rows(path, column)
            parts += [rows] if len(rows) else []
    if pending:
        parts.append(PathPart(tuple(pending)))
    if not parts:
        raise DataError("The Parquet files have no rows.")
    return parts


def cut(parts: Sequence[Part], shard_size: int) -> list[Part]:
    """Cut parts into shards of at most so many images; none spans two parts."""
    return [
        part.slice(start, start + shard_size)
        for part in parts
        for start in range(0, len(part), shard_size)
    ]


def inputs_digest(parts: Sequence[Part]) -> str:
    """Identity of the inputs: names and their order, and sizes of Parquet files; no contents."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(json.dumps(as_values(part)).encode())
    return digest.hexdigest()


def as_values(part: Part) -> dict[str, Any]:
    """A part as JSON values, to be sent to another process."""
    if isinstance(part, PathPart):
        return {"paths": list(part.paths)}
    return {name: getattr(part, name) for name in RowPart.__slots__}


def from_values(values: dict[str, Any]) -> Part:
    """The part that `as_values` describes."""
    return PathPart(tuple(values["paths"])) if "paths" in values else RowPart(**values)


def _local_files(pattern: str, tabular: bool) -> Iterator[tuple[str, str]]:
    """Identity and path of each file."""
    if not tabular:
        for path in expand_paths([pattern]):
            yield str(path.absolute()), str(path)
        return
    paths = [Path(pattern)]
    if MAGIC.intersection(pattern):
        start = Path(Path(pattern).anchor or ".")
        inside = str(Path(pattern).relative_to(start)) if start.is_absolute() else pattern
        paths = sorted(start.glob(inside))
        if not paths:
            raise DataError(f"The pattern {pattern} matches no Parquet file.")
    for path in paths:
        yield str(path.absolute()), str(path)


def _remote_files(url: str, tabular: bool) -> Iterator[tuple[str, str]]:
    filesystem, path = filesystem_of(url)
    with place_errors(url):
        if MAGIC.intersection(path):
            found = sorted(filesystem.glob(path))
        elif tabular or PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES:
            found = [path]  # not asked whether it is there: reading it reports that
        else:
            found = sorted(filesystem.find(path))
    kept = found if found == [path] else [one for one in found if _wanted(one, path, tabular)]
    if not kept:
        suffixes = ", ".join(PARQUET_SUFFIXES if tabular else sorted(IMAGE_SUFFIXES))
        raise DataError(f"There is nothing to score at {url} ({suffixes}); check the URL.")
    for one in kept:
        full = filesystem.unstrip_protocol(one)
        yield full, full


def _wanted(path: str, root: str, tabular: bool) -> bool:
    """By suffix; what lies below a hidden folder of the root is not."""
    inner = path.removeprefix(root).split("/")
    suffixes = PARQUET_SUFFIXES if tabular else IMAGE_SUFFIXES
    hidden = any(part.startswith(".") for part in inner)
    return PurePosixPath(path).suffix.lower() in suffixes and not hidden


def _rows(file: str, column: str) -> RowPart:
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
    if not any(
        test(holds)
        for test in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_string_view,
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_binary_view,
        )
    ):
        raise DataError(
            f"Column {column!r} of {file} holds {kind}; give one with paths (strings) or with "
            "encoded images (bytes)."
        )
    return RowPart(file, column, 0, count, size)
