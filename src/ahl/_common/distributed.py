"""Distributed training: the processes that torchrun started; a single one without it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import distributed as dist

from ahl._common.errors import ConfigurationError, ProcessError
from ahl._common.text import first_line


def process_count() -> int:
    """Number of processes that torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def process_rank() -> int:
    """Rank of this process among those that torchrun started, from 0; 0 without it."""
    return int(os.environ["RANK"]) if process_count() > 1 else 0


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Open torch.distributed's default group for the block; nothing to do for a single process.

    Uses nccl on CUDA, with one device per process, else gloo.

    Raises:
        ConfigurationError: if there is no CUDA device for this process.
        ProcessError: if the processes cannot reach each other, or another one has ended.
    """
    if process_count() == 1:
        yield
        return
    if device.type == "cuda":
        number, found = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if number >= found:
            raise ConfigurationError(
                f"There are {found} CUDA devices here for {number + 1} or more processes: give "
                "torchrun a smaller --nproc-per-node, or add --device cpu."
            )
        torch.cuda.set_device(number)
    try:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    except (RuntimeError, ValueError) as error:  # of the store, of gloo, of the environment
        raise ProcessError(
            f"The {process_count()} processes of this run cannot reach each other "
            f"({first_line(error)}). Start them again with torchrun; on several machines, "
            "GLOO_SOCKET_IFNAME names the network interface to use."
        ) from error
    try:
        yield
        dist.barrier()
    except RuntimeError as error:
        if "gloo" not in str(error) and not isinstance(error, dist.DistError):
            raise
        raise ProcessError(
            "Another process of this run has ended: its own message says why, or the system "
            "ended it, for instance when memory ran out."
        ) from error
    finally:
        dist.destroy_process_group()
