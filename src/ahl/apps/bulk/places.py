"""Places of images and results: paths on this machine, and URLs that fsspec opens."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from ahl._common.errors import AHLError, ConfigurationError, DataError
from ahl._common.files import written_whole
from ahl._common.text import first_line

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

LOCK: Final = "_ahl_run.lock"
"""Name of the file that a run locks. Parquet readers skip names that begin with `_`."""

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # two letters at least: C:// is a drive


def is_url(text: str) -> bool:
    """True for a URL, such as s3://bucket/images."""
    return _URL.match(text) is not None


def located(place: str, base: str) -> str:
    """The path joined to `base`, or the URL: valid for a process in another current folder."""
    return place if is_url(place) else os.path.join(base, place)  # noqa: PTH118 - absolute stays


def filesystem_of(place: str) -> tuple[Any, str]:
    """The fsspec file system behind a path or URL, and the path within it.

    Raises:
        ConfigurationError: if such URLs are not supported, or the package for them is missing.
    """
    from fsspec.core import url_to_fs

    if "::" in place and is_url(place):
        raise ConfigurationError(f"{place}: chained URLs are not read; unpack the archive.")
    try:
        filesystem, path = url_to_fs(place)
    except (ImportError, ValueError) as error:  # the first names the package: "Install s3fs ..."
        raise ConfigurationError(f"{place} cannot be opened: {first_line(error)}.") from None
    if "max_concurrency" in vars(filesystem):
        # s3fs would ask for the size of every image first, so as to fetch large ones in pieces:
        # twice the requests.
        filesystem.max_concurrency = 1
    return filesystem, path


@contextmanager
def place_errors(place: str) -> Iterator[None]:
    """Turn whatever a file system raises into a `DataError` that names the place.

    Raises:
        DataError: in place of any error that is not `ahl`'s.
    """
    try:
        yield
    except AHLError:
        raise
    except FileNotFoundError:
        raise DataError(f"There is no {place}; check the path.") from None
    except Exception as error:  # each store's own: no credentials, no network, no such bucket
        raise DataError(f"{place}: {first_line(error)}") from error


@contextmanager
def parquet_file(place: str) -> Iterator[ParquetFile]:
    """Open a Parquet file; only its footer is read at first.

    Raises:
        DataError: if there is no such file, or it is damaged.
    """
    from pyarrow.parquet import ParquetFile

    filesystem, path = filesystem_of(place)
    with place_errors(place), filesystem.open(path, "rb") as stream:
        yield ParquetFile(stream)


class OutputFolder:
    """A folder of result files, on this machine or behind a URL.

    Raises:
        ConfigurationError: if such URLs cannot be opened.
        DataError: from its methods, if it cannot be listed, read or written.
    """

    def __init__(self, place: str) -> None:
        from fsspec.implementations.local import LocalFileSystem

        self.place = place
        self._filesystem, root = filesystem_of(place)
        self._root = root.rstrip("/")
        self._is_local = isinstance(self._filesystem, LocalFileSystem)

    def names(self) -> set[str]:
        """Names of the files in it; none if it does not exist yet."""
        with place_errors(self.place):
            self._filesystem.invalidate_cache()
            try:
                entries = self._filesystem.ls(self._root, detail=False)
            except FileNotFoundError:
                return set()
        return {PurePosixPath(entry).name for entry in entries}

    def path(self, name: str) -> str:
        """Path or URL of one of its files."""
        return f"{self.place.rstrip('/')}/{name}"

    def read(self, name: str) -> bytes:
        """The bytes of one of its files."""
        with place_errors(self.path(name)):
            data: bytes = self._filesystem.cat_file(f"{self._root}/{name}")
            return data

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lock the folder for one run during a block; a folder behind a URL is not locked.

        Raises:
            DataError: if another run has locked it.
        """
        from filelock import FileLock, Timeout

        if not self._is_local:
            yield
            return
        with place_errors(self.place):
            Path(self._root).mkdir(parents=True, exist_ok=True)
            lock = FileLock(Path(self._root) / LOCK)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                raise DataError(
                    f"Another run is writing into {self.place}: wait until it ends, or name "
                    "another folder."
                ) from None
            except NotImplementedError:  # of a file system that knows no locks
                pass
        try:
            yield
        finally:
            lock.release()

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole: renamed into place on this machine, or by one upload."""
        path = f"{self._root}/{name}"
        with place_errors(self.place):
            if not self._is_local:
                self._filesystem.pipe_file(path, data)
                return
            with written_whole(Path(path)) as temporary:
                temporary.write_bytes(data)
