"""Where files lie: in a folder of this machine, or behind a URL that fsspec opens."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ahl._common.errors import AHLError, ConfigurationError, DataError
from ahl._common.files import written_whole
from ahl.data.images.decoding import brief

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # two letters at least: C:// is a drive

NEEDED: Final = "Install it with: pip install 'ahl[scale]' (or 'ahl-runtime[scale]')"


def is_url(text: str) -> bool:
    """Whether a path is a URL, such as s3://bucket/images."""
    return _URL.match(text) is not None


def located(place: str, base: str) -> str:
    """A path or URL that another process, with another current folder, finds as well."""
    return place if is_url(place) else os.path.join(base, place)  # noqa: PTH118 - absolute stays


def filesystem_of(place: str) -> tuple[Any, str]:
    """The fsspec file system behind a path or URL, and the path within it.

    Raises:
        ConfigurationError: if fsspec, or what it needs for such URLs, is not installed.
    """
    if "::" in place and is_url(place):
        raise ConfigurationError(f"{place}: chained URLs are not read; unpack the archive.")
    try:
        import fsspec
    except ImportError:
        raise ConfigurationError(f"{place} is opened with fsspec. {NEEDED}.") from None
    try:
        filesystem, path = fsspec.core.url_to_fs(place)
    except ImportError as error:  # it names the package: "Install s3fs to access S3"
        raise ConfigurationError(f"{place} cannot be opened: {error}.") from None
    except ValueError as error:
        raise ConfigurationError(f"{place} cannot be opened: {brief(error)}.") from None
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
        raise DataError(f"{place}: {brief(error)}") from error


@contextmanager
def parquet_file(place: str) -> Iterator[ParquetFile]:
    """Open a Parquet file; only its footer is read at first.

    Raises:
        ConfigurationError: if pyarrow is not installed.
        DataError: if there is no such file, or it is none.
    """
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise ConfigurationError(f"{place} is read with pyarrow. {NEEDED}.") from None
    filesystem, path = filesystem_of(place)
    with place_errors(place), filesystem.open(path, "rb") as stream:
        yield ParquetFile(stream)


class OutputFolder:
    """A folder of result files, of this machine or behind a URL.

    Args:
        place: its path or URL.

    Raises:
        ConfigurationError: if such URLs cannot be opened.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self._filesystem, self._root = filesystem_of(place)
        protocol = self._filesystem.protocol
        local = "file" in ((protocol,) if isinstance(protocol, str) else protocol)
        self._local = Path(self._root) if local else None

    def names(self) -> set[str]:
        """Names of the files in it; none if it does not exist yet.

        Raises:
            DataError: if it cannot be listed.
        """
        with place_errors(self.place):
            self._filesystem.invalidate_cache()
            if not self._filesystem.isdir(self._root):
                return set()
            entries = self._filesystem.ls(self._root, detail=False)
        return {str(entry).rstrip("/").rsplit("/", 1)[-1] for entry in entries}

    def path(self, name: str) -> str:
        """Path or URL of one of its files."""
        return f"{self.place.rstrip('/')}/{name}"

    def read(self, name: str) -> bytes:
        """A file's bytes.

        Raises:
            DataError: if it cannot be read.
        """
        with place_errors(self.path(name)):
            data: bytes = self._filesystem.cat_file(f"{self._root.rstrip('/')}/{name}")
            return data

    def write(self, name: str, data: bytes) -> None:
        """Write a file whole: renamed into place here, put in one go elsewhere.

        Raises:
            DataError: if it cannot be written.
        """
        with place_errors(self.place):
            if self._local is None:
                self._filesystem.pipe_file(f"{self._root.rstrip('/')}/{name}", data)
                return
            with written_whole(self._local / name) as temporary:
                temporary.write_bytes(data)
