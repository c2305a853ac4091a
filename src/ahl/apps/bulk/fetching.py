"""The images of a shard: named, and read or fetched a few ahead of the model."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from ahl._common.errors import ConfigurationError, DataError, ImageError
from ahl._common.types import EncodedImage
from ahl.apps.bulk.inputs import Part, PathPart, RowPart
from ahl.apps.bulk.places import filesystem_of, is_url, located, parquet_file
from ahl.data.images.decoding import brief
from ahl.data.images.reading import ImageSource

CHUNK: Final = 128
"""Images scored in one go, and rows held at once: a multiple of the batch of every preset."""

AHEAD: Final = 32
"""Images fetched ahead of the one that is decoded: what a shard holds in memory."""

_AT_ONCE: Final = 16  # requests; a store answers one in some tens of milliseconds
_PAUSES: Final = (0.5, 2.0)  # seconds before another try
_NO_USE_TRYING: Final = (PermissionError, ConfigurationError)


@dataclass(frozen=True, slots=True)
class NamedImage:
    """An image of a shard: what its row is called, and what to read."""

    name: str
    source: ImageSource


class Fetcher:
    """Fetches images behind URLs, ahead of who asks for them, and counts those it cannot get.

    An image that is not there is like any other that cannot be read. One that a store does not
    give (no network, no right, too many requests) is counted: another time it may.
    """

    def __init__(self) -> None:
        self.failed = 0
        self._lock = threading.Lock()

    def sources(self, urls: Sequence[str], pool: ThreadPoolExecutor) -> list[EncodedImage]:
        """Sources that fetch themselves and the `AHEAD` ones behind them when read in order."""
        waiting: dict[int, Future[bytes]] = {}
        started = 0

        def fetch(index: int) -> bytes:
            nonlocal started
            with self._lock:
                for upcoming in range(started, min(index + AHEAD, len(urls))):
                    waiting[upcoming] = pool.submit(self._fetched, urls[upcoming])
                    started = upcoming + 1
                future = waiting.pop(index, None)
            return self._fetched(urls[index]) if future is None else future.result()

        def source(index: int) -> EncodedImage:
            return EncodedImage(urls[index], lambda: fetch(index))

        return [source(index) for index in range(len(urls))]

    def _fetched(self, url: str) -> bytes:
        for pause in (*_PAUSES, None):
            try:
                filesystem, path = filesystem_of(url)
                data: bytes = filesystem.cat_file(path)
            except (FileNotFoundError, IsADirectoryError):
                raise ImageError("there is no such file") from None
            except Exception as error:  # each store's own
                if pause is None or isinstance(error, _NO_USE_TRYING):
                    with self._lock:
                        self.failed += 1
                    raise ImageError(f"it could not be fetched ({brief(error)})") from error
                time.sleep(pause)
            else:
                return data
        raise AssertionError  # the last pass returns or raises


def chunks(part: Part, base: str, fetcher: Fetcher) -> Iterator[list[NamedImage]]:
    """The images of a shard, `CHUNK` at a time.

    Args:
        part: the shard.
        base: folder that relative paths begin from.
        fetcher: gets those behind URLs.

    Raises:
        DataError: if a Parquet file cannot be read.
    """
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        for rows in _grouped(_values(part, base)):
            urls = [value for _, value in rows if isinstance(value, str) and is_url(value)]
            fetched = iter(fetcher.sources(urls, pool))
            yield [
                NamedImage(
                    name,
                    next(fetched)
                    if isinstance(value, str) and is_url(value)
                    else _source(name, value, base),
                )
                for name, value in rows
            ]


def _source(name: str, value: str | bytes | None, base: str) -> ImageSource:
    if isinstance(value, bytes):
        return EncodedImage(name, lambda: value)
    if not value:
        return EncodedImage(name, _nothing)
    return located(value, base)


def _nothing() -> bytes:
    raise ImageError("the row names no image")


def _values(part: Part, base: str) -> Iterator[tuple[str, str | bytes | None]]:
    """Name and path or bytes of each image; None where a row has neither."""
    if isinstance(part, PathPart):
        yield from ((path, path) for path in part.paths)
        return
    for number, value in enumerate(_column(part, base), part.first):
        name = f"{part.file}#{number}"
        if isinstance(value, dict):
            path = value.get("path")
            yield path or name, value["bytes"] if value["bytes"] is not None else path
        elif isinstance(value, str):
            yield value, value
        else:
            yield name, value


def _column(part: RowPart, base: str) -> Iterator[Any]:
    """Values of the rows; row groups that hold none of them are not read."""
    with parquet_file(located(part.file, base)) as file:
        if file.metadata.num_rows < part.first + part.count:
            raise DataError(f"{part.file} has fewer rows than when the run was planned.")
        groups, before, skipped = [], 0, 0
        for number in range(file.metadata.num_row_groups):
            rows = file.metadata.row_group(number).num_rows
            if before + rows <= part.first:
                skipped += rows
            elif before < part.first + part.count:
                groups.append(number)
            before += rows
        position, left = skipped, part.count
        for batch in file.iter_batches(batch_size=CHUNK, row_groups=groups, columns=[part.column]):
            start = max(0, part.first - position)
            wanted = batch.column(0).slice(start, left)
            position += batch.num_rows
            left -= len(wanted)
            yield from wanted.to_pylist()
            if not left:
                return


def _grouped(
    rows: Iterator[tuple[str, str | bytes | None]],
) -> Iterator[list[tuple[str, str | bytes | None]]]:
    group = []
    for row in rows:
        group.append(row)
        if len(group) == CHUNK:
            yield group
            group = []
    if group:
        yield group
