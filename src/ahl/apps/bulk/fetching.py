"""The images of a shard with their names, fetched ahead of the model if they are URLs."""

from __future__ import annotations

import itertools
import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

from ahl._common.errors import ConfigurationError, DataError, ImageError
from ahl._common.text import first_line
from ahl._common.types import EncodedImage
from ahl.apps.bulk.inputs import Part, PathPart, RowPart
from ahl.apps.bulk.places import filesystem_of, is_url, located, parquet_file
from ahl.data.images.reading import ImageSource

CHUNK: Final = 64
"""Images scored at a time, and fetched ahead: a multiple of the batch of every preset."""

_AT_ONCE: Final = 16  # requests; a store answers one in some tens of milliseconds
_PAUSES: Final = (0.5, 2.0)  # seconds before another try
_NO_USE_TRYING: Final = (PermissionError, ConfigurationError)


class NamedImage(NamedTuple):
    """An image of a shard: the path of its row, and the source to read."""

    name: str
    source: ImageSource


class Fetcher:
    """Fetches images behind URLs, and counts those that could not be fetched, in `failed`.

    An image that does not exist is not counted; it is unreadable like any other. One that fails
    otherwise (no network, no permission, too many requests) may be fetched another time.
    """

    def __init__(self) -> None:
        self.failed = 0
        self._lock = threading.Lock()

    def start(self, url: str, pool: ThreadPoolExecutor) -> EncodedImage:
        """Begin to fetch an image; reading it waits for its bytes, or raises ImageError."""
        return EncodedImage(url, pool.submit(self._fetched, url).result)

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
                    raise ImageError(f"it could not be fetched ({first_line(error)})") from error
                time.sleep(pause)
            else:
                return data
        raise AssertionError  # the last pass returns or raises


def chunks(part: Part, base: str, fetcher: Fetcher) -> Iterator[list[NamedImage]]:
    """The images of a shard, `CHUNK` at a time.

    Args:
        part: the shard.
        base: folder that relative paths begin from.
        fetcher: fetches those behind URLs.

    Raises:
        DataError: if a Parquet file cannot be read.
    """
    rows = _rows(part, base)
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:

        def source(name: str, value: str | bytes | None) -> ImageSource:
            if isinstance(value, bytes):
                return EncodedImage(name, lambda: value)
            if not value:
                return EncodedImage(name, _nothing)
            return fetcher.start(value, pool) if is_url(value) else located(value, base)

        while some := list(itertools.islice(rows, CHUNK)):
            yield [NamedImage(name, source(name, value)) for name, value in some]


def _nothing() -> bytes:
    raise ImageError("the row names no image")


def _rows(part: Part, base: str) -> Iterator[tuple[str, str | bytes | None]]:
    """Name and path or bytes of each image; None where a row has neither."""
    if isinstance(part, PathPart):
        yield from ((path, path) for path in part.paths)
        return
    for number, value in enumerate(_column(part, base), part.first):
        name = f"{part.file}#{number}"
        if isinstance(value, dict):
            path = value.get("path")
            yield path or name, value["bytes"] if value["bytes"] is not None else path
        else:
            yield value if isinstance(value, str) else name, value


def _column(part: RowPart, base: str) -> Iterator[Any]:
    """Values of the rows' column; row groups without any of these rows are not read."""
    stop = part.first + part.count
    with parquet_file(located(part.file, base)) as file:
        facts = file.metadata
        if facts.num_rows < stop:
            raise DataError(f"{part.file} has fewer rows than when the run was planned.")
        sizes = [facts.row_group(number).num_rows for number in range(facts.num_row_groups)]
        ends = [0, *itertools.accumulate(sizes)]
        begin = bisect_right(ends, part.first) - 1
        row = ends[begin]
        for batch in file.iter_batches(
            batch_size=CHUNK,
            row_groups=list(range(begin, bisect_left(ends, stop))),
            columns=[part.column],
        ):
            yield from batch.column(0)[max(0, part.first - row) : stop - row].to_pylist()
            row += batch.num_rows
            if row >= stop:
                return
