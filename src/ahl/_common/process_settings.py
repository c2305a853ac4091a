"""Process settings for sharing a machine's cores and memory with other programs."""

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
"""The settings as environment variables to start a process with."""

# Parameters of glibc's mallopt (malloc.h).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def settle_process() -> None:
    """Give this process the `ahl` command's settings for sharing cores and memory.

    For programs that import `ahl`; call it before torch is loaded. It changes environment
    variables and the C library's allocator for the whole process. Variables that the user has set
    keep their values.

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
    """Make glibc return freed memory to the system.

    By default it keeps freed blocks of up to 32 MiB in a heap that fragments: a training that
    never used more than 0.4 GiB of it came to hold 1.8 GiB. With these settings, blocks from 8 MiB
    on are mapped one by one, and unmapped when freed.
    """
    if sys.platform != "linux" or {"MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"} & os.environ.keys():
        return
    change = getattr(ctypes.CDLL(None), "mallopt", None)
    if change is not None:
        change(_M_MMAP_THRESHOLD, int(SETTINGS["MALLOC_MMAP_THRESHOLD_"]))
        # Of smaller blocks much may stay: trimming costs time, and is on by the change above.
        change(_M_TRIM_THRESHOLD, int(SETTINGS["MALLOC_TRIM_THRESHOLD_"]))


def limit_memory(size: int) -> tuple[int, int] | None:
    """Limit this process to `size` bytes more than it has now; on Linux only.

    Returns:
        the previous limits; None if they stay, because a lower one is set, or on other systems.
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
    """Limit the process by `limit_memory` during the block, other threads included.

    An allocation beyond the limit raises MemoryError, or the error that a C++ library makes of it.
    """
    before = limit_memory(size)
    try:
        yield
    finally:
        if before is not None:
            import resource

            resource.setrlimit(resource.RLIMIT_DATA, before)


def usable_cores() -> int:
    """Number of cores this process may run on; all cores if the system does not say."""
    allowed = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(allowed(0)) if allowed else os.cpu_count() or 1
