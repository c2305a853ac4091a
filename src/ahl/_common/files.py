"""Files and folders that are whole or absent: written under a temporary name, then renamed."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ahl._common.errors import ConfigurationError

OUTPUT_MARK: Final = ".ahl-output"
"""Name of a file that says of its folder: `ahl` wrote it, and searches for images pass it by."""

_A_DAY: Final = 86_400.0  # seconds
_TEMPORARY: Final = re.compile(r"\..+\.\d+-[0-9a-f]{8}\.part", re.DOTALL)


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder that becomes `path` if the block succeeds.

    The block makes it a file or a folder. The folder around it is created when it is missing. If
    the block raises, nothing is left behind and a file that was there before stays as it was. A
    process that is killed leaves its temporary file, which the first to write into the folder a day
    later removes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        with naming(path, temporary):
            yield temporary
            temporary.replace(path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def naming(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Have errors of a block name the file that is written, as that of a full disk does not.

    Args:
        path: the file.
        temporary: its name meanwhile, which says nothing to people.

    Raises:
        OSError: as the block does, with the path.
    """
    try:
        yield
    except OSError as error:
        if error.filename in (None, str(temporary)):
            error.strerror = error.strerror or str(error)  # numpy says no more than what it lacks
            error.filename = str(path)
        raise


def mark_output(folder: Path) -> None:
    """Make a folder that searches for images pass by; a folder that they begin at, they do not."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / OUTPUT_MARK).touch()


def is_output(folder: Path) -> bool:
    """True for a folder that `mark_output` made."""
    return os.path.exists(folder / OUTPUT_MARK)  # noqa: PTH110 - False for odd names, too


@functools.cache
def _sweep(folder: Path) -> None:
    """Remove what killed writers left, once in a process.

    Their age tells, not whether their process lives: it may live on another machine.
    """
    abandoned = time.time() - _A_DAY
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _TEMPORARY.fullmatch(entry.name):
                with contextlib.suppress(OSError):
                    if entry.is_file(follow_symlinks=False) and entry.stat().st_mtime < abandoned:
                        Path(entry).unlink()


def claim_log(path: Path, beginning: bytes, kind: str) -> None:
    """Make the file of a log, with its folder, unless it is there.

    Args:
        path: the file.
        beginning: of every file of this kind: nothing else is ever appended to.
        kind: for the message, such as `a log of ahl`.

    Raises:
        ConfigurationError: if it is a folder, or begins otherwise.
    """
    if path.is_dir():
        raise ConfigurationError(f"{path} is a folder; name a file for the log.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with naming(path), path.open("a+b") as file:
        file.seek(0)
        if not beginning.startswith(file.read(len(beginning))):
            raise ConfigurationError(
                f"{path} is there and is not {kind}; name another file for the log."
            )


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
