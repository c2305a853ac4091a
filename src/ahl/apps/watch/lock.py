"""One watcher at a time for a folder, and for a log."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ahl._common.errors import DataError


@contextlib.contextmanager
def held_alone(path: Path, what: str) -> Iterator[None]:
    """Hold a lock during a block; the system gives it back when the process ends, however.

    Args:
        path: the lock's file; made with its folder when it is missing.
        what: is locked, for the message.

    Raises:
        DataError: if somebody else holds it.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise DataError(
            f"Another `ahl watch` is at work on {what}; stop it first, or give this one another."
        ) from None
    try:
        yield
    finally:
        lock.release()
