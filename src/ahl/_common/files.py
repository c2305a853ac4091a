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
"""Name of the file that marks a folder as written by `ahl`; searches for images skip it."""

_A_DAY: Final = 86_400.0  # seconds
_TEMPORARY: Final = re.compile(r"\..+\.\d+-[0-9a-f]{8}\.part", re.DOTALL)


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder that is renamed to `path` if the block succeeds.

    The block makes it a file or a folder. The parent folder is created if it is missing. If the
    block raises, nothing is left behind, and an existing file stays as it was. A killed process
    leaves its temporary file, which a later write into the folder removes after a day.
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
    """Add the file's path to the block's OSErrors; that of a full disk, for one, has none.

    Args:
        path: the file.
        temporary: its temporary path, which `path` replaces in the error.

    Raises:
        OSError: that of the block, with the path.
    """
    try:
        yield
    except OSError as error:
        if error.filename in (None, str(temporary)):
            error.strerror = error.strerror or str(error)  # numpy says no more than what it lacks
            error.filename = str(path)
        raise


def mark_output(folder: Path) -> None:
    """Make a folder that searches for images skip, unless they start at it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / OUTPUT_MARK).touch()


def is_output(folder: Path) -> bool:
    """True if `mark_output` marked the folder."""
    return os.path.exists(folder / OUTPUT_MARK)  # noqa: PTH110 - False for odd names, too


@functools.cache
def _sweep(folder: Path) -> None:
    """Remove temporary files of killed writers, once per process and folder.

    Judged by age, not by whether the writing process is alive: it may run on another machine.
    """
    abandoned = time.time() - _A_DAY
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _TEMPORARY.fullmatch(entry.name):
                with contextlib.suppress(OSError):
                    if entry.is_file(follow_symlinks=False) and entry.stat().st_mtime < abandoned:
                        Path(entry).unlink()


def claim_log(path: Path, beginning: bytes, kind: str) -> None:
    """Create a log file and its folder, or check that an existing file is such a log.

    Args:
        path: the file.
        beginning: bytes that every log of this kind begins with.
        kind: its name in the message, such as `a log of ahl`.

    Raises:
        ConfigurationError: if it is a folder, or a file that begins with other bytes.
    """
    if path.is_dir():
        raise ConfigurationError(f"{path} is a folder; name a file for the log.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with naming(path), path.open("a+b") as file:
        file.seek(0)
        if not beginning.startswith(file.read(len(beginning))):
            raise ConfigurationError(
                f"{path} exists and is not {kind}; name another file for the log."
            )


def remove_torn_line(path: Path) -> None:
    """Cut off an incomplete last line, as a killed writer leaves one."""
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
