"""Settings with which a command shares its machine's cores and memory."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SETTINGS: Final = {
    "GOMP_SPINCOUNT": "3000",
    "THP_MEM_ALLOC_ENABLE": "1",
    "MALLOC_MMAP_THRESHOLD_": str(8 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(64 * 2**20),
}
"""The same as variables that a process may be started with."""

# Parameters of glibc's mallopt (malloc.h).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def settle_process() -> None:
    """Have this process share cores and memory as that of the `ahl` command does.

    For programs of their own, before anything loads torch: it changes environment variables and
    the C library's allocator, for all of the process. What the user has set stays.

    Examples:
        >>> from ahl import settle_process
        >>> settle_process()  # doctest: +SKIP
    """
    # GNU's OpenMP lets threads that wait spin for milliseconds: on cores that another program uses
    # as well, a training then takes ten times as long and more. Alone on the machine, sleeping soon
    # costs up to a fifth.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SETTINGS["GOMP_SPINCOUNT"])
    # Blocks that come and go with every batch are mapped anew each time; in pages of 4 KiB, not
    # 2 MiB, that took a fifth of MobileNetV2's time.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", SETTINGS["THP_MEM_ALLOC_ENABLE"])
    _return_memory()


def _return_memory() -> None:
    """Have GNU's C library give memory back that tensors no longer need.

    It keeps freed blocks of up to 32 MiB in a heap that falls to pieces: a training that never
    used more than 0.4 GiB of it came to hold 1.8 GiB. Blocks from 8 MiB on are mapped each by
    itself instead, and unmapped when freed.
    """
    if sys.platform != "linux" or {"MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"} & os.environ.keys():
        return
    change = getattr(ctypes.CDLL(None), "mallopt", None)
    if change is not None:
        change(_M_MMAP_THRESHOLD, int(SETTINGS["MALLOC_MMAP_THRESHOLD_"]))
        # Of smaller blocks much may stay: trimming costs time, and is on by the change above.
        change(_M_TRIM_THRESHOLD, int(SETTINGS["MALLOC_TRIM_THRESHOLD_"]))


def limit_memory(size: int) -> tuple[int, int] | None:
    """Refuse this process more than so many bytes besides those that it has; on Linux alone.

    Returns:
        the limit before; None if it stays, because there is a lower one, or on other systems.
    """
    counts = Path("/proc/self/statm")
    if not counts.exists():
        return None
    import resource  # which Windows lacks

    wanted = int(counts.read_text().split()[5]) * resource.getpagesize() + size
    before = resource.getrlimit(resource.RLIMIT_DATA)
    if any(one != resource.RLIM_INFINITY and one < wanted for one in before):
        return None
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, before[1]))
    return before


@contextmanager
def memory_limited(size: int) -> Iterator[None]:
    """Have the block, and other threads meanwhile, take no more than so many bytes.

    What would take more raises MemoryError, or what C++ makes of it; as `limit_memory`.
    """
    before = limit_memory(size)
    try:
        yield
    finally:
        if before is not None:
            import resource

            resource.setrlimit(resource.RLIMIT_DATA, before)


def usable_cores() -> int:
    """Number of cores this process may run on, where the system tells; else of all there are."""
    allowed = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(allowed(0)) if allowed else os.cpu_count() or 1
