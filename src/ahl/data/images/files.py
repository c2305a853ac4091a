"""Opening of image files; every failure is an `ImageError`."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from ahl._common.errors import ImageError
from ahl._common.text import first_line


@contextmanager
def open_file(path: Path) -> Iterator[BufferedReader]:
    """Open a regular file for the block.

    Raises:
        ImageError: if it is missing, not a regular file, or not readable.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise ImageError("it is a folder, not an image file")
        if not stat.S_ISREG(mode):  # a pipe would block for ever
            raise ImageError("it is not a regular file")
        stream = path.open("rb")
    except FileNotFoundError:
        raise ImageError("there is no such file") from None
    except PermissionError:
        raise ImageError("there is no permission to read it") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise ImageError(first_line(error)) from error
    with stream:
        yield stream


def content_of(path: Path) -> bytes:
    """Read the bytes of a file.

    Raises:
        ImageError: if it cannot be read.
    """
    with open_file(path) as stream:
        try:
            return stream.read()
        except OSError as error:
            raise ImageError(first_line(error)) from error
