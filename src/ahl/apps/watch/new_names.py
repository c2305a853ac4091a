"""Renaming without overwriting: a name that is taken is never replaced."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any, Final

_LONGEST_NAME: Final = 255  # bytes, on nearly all file systems
_HERE: Final = -100  # AT_FDCWD of fcntl.h: paths are as usual
_NO_REPLACE: Final = 1  # RENAME_NOREPLACE of stdio.h

_NOT_OFFERED: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
_NO_LINKS: Final = _NOT_OFFERED | {errno.EPERM, errno.EMLINK, errno.EACCES}


def rename_new(source: Path, target: Path) -> None:
    """Rename a file, unless the new name is taken.

    Linux and Windows do so in one step. Elsewhere, and on file systems that do not offer it, the
    file is linked to its new name before the old one is removed; after a kill in between, a second
    call removes it. Without links, the name is checked before the file is renamed.

    Raises:
        FileExistsError: if the new name is taken.
        OSError: if it cannot be renamed; with `errno.EXDEV` if it would have to be copied.
    """
    try:
        if _renamed_at_once(source, target):
            return
        if _linked(source, target):
            source.unlink()
            return
        _renamed_where_free(source, target)
    except FileExistsError:
        # Two names of one file: an earlier call was killed.
        if source.is_symlink() or target.is_symlink() or not source.samefile(target):
            raise
        source.unlink()


def free_name(wished: Path) -> Path:
    """The path itself if nothing is there, else with `-2`, `-3`... before the suffix.

    The number is found by bisection, which stays fast for a camera that names all its files alike;
    gaps below it may remain.
    """
    if not os.path.lexists(wished):
        return wished
    taken, free = 1, 2
    while os.path.lexists(_numbered(wished, free)):
        taken, free = free, free * 2
    while free - taken > 1:
        middle = (taken + free) // 2
        if os.path.lexists(_numbered(wished, middle)):
            taken = middle
        else:
            free = middle
    return _numbered(wished, free)


def _numbered(path: Path, number: int) -> Path:
    end = f"-{number}{path.suffix}"
    room = _LONGEST_NAME - len(os.fsencode(end))
    return path.with_name(os.fsdecode(os.fsencode(path.stem)[:room]) + end)


def _renamed_at_once(source: Path, target: Path) -> bool:
    """Rename in one step; False where that is not offered."""
    if sys.platform == "win32":
        source.rename(target)  # refuses to overwrite
        return True
    rename = _kernels_rename()
    if rename is None:
        return False
    paths = (_HERE, os.fsencode(source), _HERE, os.fsencode(target))
    if rename(*paths, ctypes.c_uint(_NO_REPLACE)) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NOT_OFFERED:
        return False
    raise OSError(number, os.strerror(number), str(source), None, str(target))


def _renamed_where_free(source: Path, target: Path) -> None:
    """Rename if nothing is there; a file made between the check and the renaming is replaced."""
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    source.rename(target)


@cache
def _kernels_rename() -> Any:  # noqa: ANN401 - a C function
    """Linux's `renameat2`; None if the C library has none."""
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)


def _linked(source: Path, target: Path) -> bool:
    """Give a file a second name, a hard link; False where that is not offered."""
    try:
        os.link(source, target, follow_symlinks=False)
    except NotImplementedError:
        return False
    except OSError as error:
        if error.errno in _NO_LINKS:
            return False
        raise
    return True
