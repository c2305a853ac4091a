"""Files that are whole or absent: written under a temporary name, then renamed; and awaited."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

SEEN_WITHIN = 20.0
"""Seconds after which a file that another machine wrote must be there."""


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder that becomes `path` if the block succeeds.

    The folder is created when it is missing. If the block raises, nothing is left behind and a
    file that was there before stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_torn_line(path: Path) -> None:
    """Cut a file behind its last whole line: a writer that was killed left the rest torn."""
    block, end = 4096, path.stat().st_size
    with path.open("r+b") as file:
        while end:
            begin = max(0, end - block)
            file.seek(begin)
            newline = file.read(end - begin).rfind(b"\n")
            if newline >= 0:
                end = begin + newline + 1
                break
            end = begin
        file.truncate(end)


def appears(path: Path) -> bool:
    """Whether a file is there, now or some seconds later: network disks take their time."""
    until = time.monotonic() + SEEN_WITHIN
    while not path.exists():
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
    return True
