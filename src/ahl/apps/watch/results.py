"""One JSON line for every file that was moved."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ahl._common.errors import ConfigurationError
from ahl._common.files import remove_torn_line

_FIRST: Final = b'{"event": "moved"'
"""What every line begins with: no other file is ever appended to."""

_BLOCK: Final = 4096


class ResultLog:
    """Appends a line for every file; each is on the disk before the next file is touched.

    Args:
        path: the file; made with its folder when it is missing. None keeps no log.

    Raises:
        ConfigurationError: if the file is there and is no such log.
        OSError: if it cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        if path is None:
            return
        if path.is_dir():
            raise ConfigurationError(f"{path} is a folder; --log names a file.")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            file.seek(0)
            if not _FIRST.startswith(file.read(len(_FIRST))):
                raise ConfigurationError(
                    f"{path} is there and is not a log of ahl watch; name another file."
                )

    def append_once(self, facts: Mapping[str, Any]) -> None:
        """Write a line unless it is the last one already; what a kill left torn goes."""
        line = _line(facts)
        if self._path is not None and self._path.exists():
            remove_torn_line(self._path)
            if _last_line(self._path) == line:
                return
        self._write(line)

    def _write(self, line: bytes) -> None:
        if self._path is None:
            return
        # Opened anew: a log that was moved away to be kept goes on in a new file.
        with self._path.open("ab", buffering=0) as file:
            file.write(line)
            os.fsync(file.fileno())


def _line(facts: Mapping[str, Any]) -> bytes:
    return json.dumps({"event": "moved", **facts}, allow_nan=False).encode("ascii") + b"\n"


def _last_line(path: Path) -> bytes:
    """The last of a file's whole lines."""
    with path.open("rb") as file:
        begin = end = file.seek(0, os.SEEK_END)
        tail = b""
        while begin and tail.count(b"\n") < 2:
            begin = max(0, begin - _BLOCK)
            file.seek(begin)
            tail = file.read(end - begin)
    return tail[tail.rfind(b"\n", 0, -1) + 1 :]
