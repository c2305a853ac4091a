"""Several processes that train together: which one this is, and how they agree.

`torchrun` starts the same command several times, on one machine or on many. The first process
leads: it alone learns, writes and tells. What the others have to do with it goes through the
methods here, which every process calls in the same order. Values travel as JSON through the
store that torchrun keeps; gloo makes processes wait for each other, and notices at once when
one of them is gone.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

import torch
import torch.distributed as dist
from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from ahl._common.devices import resolve_device
from ahl._common.errors import ConfigurationError, ProcessError
from ahl._common.files import appears

Item = TypeVar("Item")

LONGEST_WAIT = timedelta(days=30)
"""Of the others, for the first process to learn. One that is gone is noticed without it."""


@dataclass(frozen=True, kw_only=True)
class Processes:
    """The processes of a run; without arguments this one alone, which never waits for anybody.

    Attributes:
        rank: of this process, from 0.
        count: how many there are.
        gradients: the group that tensors are summed in; None is torch's default.
    """

    rank: int = 0
    count: int = 1
    gradients: dist.ProcessGroup | None = None
    _store: Store | None = field(default=None, repr=False)
    _patient: dist.ProcessGroup | None = field(default=None, repr=False)
    _numbers: Iterator[int] = field(default_factory=itertools.count, repr=False)

    @property
    def is_first(self) -> bool:
        """Whether this process leads."""
        return self.rank == 0

    def wait(self) -> None:
        """Go on when every process has come here.

        Raises:
            ProcessError: if one of them has ended.
        """
        if self._store is None:
            return
        try:
            # No tensor in it: gloo's thread may let go of its last one while Python ends, which
            # needs the interpreter's lock and aborts the process instead of ending it.
            dist.barrier(group=self._patient)
        except RuntimeError as error:
            raise ProcessError(
                "Another process of this run has ended: its own message says why, or the system "
                "ended it, for instance for want of memory."
            ) from error

    def gathered(self, value: Any) -> list[Any]:  # noqa: ANN401 - JSON has no better type
        """The values of all processes, JSON values, in the order of their ranks."""
        store = self._store
        if store is None:
            return [value]
        number = next(self._numbers)
        store.set(f"{number}/{self.rank}", json.dumps(value))
        self.wait()
        return [json.loads(store.get(f"{number}/{rank}")) for rank in range(self.count)]

    def told(self, value: Any) -> Any:  # noqa: ANN401
        """The first process's value, a JSON value; what the others give is not looked at."""
        store = self._store
        if store is None:
            return value
        key = str(next(self._numbers))
        if self.is_first:
            store.set(key, json.dumps(value))
        self.wait()
        return json.loads(store.get(key))

    def agree(self, value: Any, what: str) -> None:  # noqa: ANN401
        """Refuse to go on with processes that do not have the same.

        Args:
            value: a JSON value.
            what: it is, in the message: `images`, for instance.

        Raises:
            ConfigurationError: if it is another one elsewhere.
        """
        if self._store is None:
            return
        digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
        digests = self.gathered(digest)
        other = next((rank for rank, one in enumerate(digests) if one != digests[0]), None)
        if other is not None:
            raise ConfigurationError(
                f"Process {other} has other {what} than process 0: start the same command with the "
                "same files, the same versions and the same kind of device on every machine."
            )

    def share(self, items: Sequence[Item], *, block: int = 1) -> list[Item]:
        """This process's share of the items, which are dealt out in blocks, in turn."""
        if self._store is None:
            return list(items)
        starts = range(self.rank * block, len(items), self.count * block)
        return [item for start in starts for item in items[start : start + block]]

    def parts(self, count: int) -> list[slice]:
        """`count` things cut into a part for each process, in order, as even as can be."""
        edges = [rank * count // self.count for rank in range(self.count + 1)]
        return [slice(start, end) for start, end in itertools.pairwise(edges)]

    def counter(self) -> Callable[[int], int]:
        """A function that adds what this process has done, and tells what all have done."""
        store, number = self._store, next(self._numbers)
        if store is not None:
            return lambda done: int(store.add(f"{number}/done", done))
        own = [0]

        def add(done: int) -> int:
            own[0] += done
            return own[0]

        return add

    def require_shared(self, folder: Path) -> None:
        """Refuse a folder that is not one and the same for all processes.

        Args:
            folder: that exists, here at least.

        Raises:
            ConfigurationError: if what the first process writes there is not seen elsewhere.
        """
        if self._store is None:
            return
        name = self.told(f".{secrets.token_hex(8)}.part")
        if self.is_first:
            (folder / name).touch()
        self.wait()
        seen = self.gathered(appears(folder / name))
        if self.is_first:
            (folder / name).unlink(missing_ok=True)
        if not all(seen):
            raise ConfigurationError(
                f"Process {seen.index(False)} does not see what process 0 writes into {folder}: "
                "give --cache a folder on a disk that all machines share."
            )

    def same(self, tensors: Sequence[torch.Tensor]) -> None:
        """Overwrite the tensors by those of the first process."""
        if self._store is not None:
            for tensor in tensors:
                dist.broadcast(tensor, src=0, group=self.gradients)

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, in place: the same bits everywhere."""
        if self._store is not None:
            dist.all_reduce(tensor, group=self.gradients)
        return tensor

    def end(self, error: BaseException) -> NoReturn:
        """End this process of an error; of several that fail, one says so.

        All fail soon after one does. The first to fail raises; the others wait until it is gone,
        because torchrun ends all others, its message unsaid perhaps, when one is.
        """
        assert self._store is not None
        try:
            first = int(self._store.compare_set("failed", "", str(self.rank)))
        except RuntimeError:  # the store is gone, with whoever kept it
            raise error from None
        if first == self.rank:
            raise error
        with contextlib.suppress(RuntimeError):
            dist.recv(torch.empty(1), src=first, group=self._patient)
        raise SystemExit(1) from None


@contextlib.contextmanager
def joined_processes(device: str) -> Iterator[Processes]:
    """The processes that torchrun started this one among; this one alone if it did not.

    At the end each waits for the others. If one fails, all do, and one message is raised.

    Args:
        device: `"auto"`, `"cpu"` or `"cuda"`. Processes on CUDA devices take one each, by
            LOCAL_RANK, and sum gradients by nccl; others by gloo.

    Raises:
        ConfigurationError: if there is no such device for this process.
        ProcessError: if the processes do not reach each other.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 or "RANK" not in os.environ:
        yield Processes()
        return
    if not (dist.is_available() and dist.is_gloo_available()):
        raise ConfigurationError("This build of torch has no gloo: start one process only.")
    try:
        store, rank, count = next(rendezvous("env://"))
        dist.init_process_group("gloo", store=store, rank=rank, world_size=count)
        # Apart from that one, whose timeout tells of machines that cannot reach each other.
        patient = cast("dist.ProcessGroup", dist.new_group(backend="gloo", timeout=LONGEST_WAIT))
    except (RuntimeError, ValueError) as error:  # the store's, gloo's; the environment's
        raise ProcessError(
            f"The {count} processes of this run do not reach each other "
            f"({str(error).splitlines()[0]}). Start them anew with torchrun; on several machines, "
            "GLOO_SOCKET_IFNAME names the network interface to use."
        ) from error
    processes = Processes(
        rank=rank, count=count, _store=PrefixStore("ahl", store), _patient=patient
    )
    try:
        kind = resolve_device(device).type
        processes.agree(kind, "kinds of device")
        if kind == "cuda":
            _take_device(int(os.environ.get("LOCAL_RANK", "0")))
            group = cast("dist.ProcessGroup", dist.new_group(backend="nccl"))
            processes = replace(processes, gradients=group)
        yield processes
        processes.wait()
    except BaseException as error:
        processes.end(error)
    dist.destroy_process_group()


def _take_device(number: int) -> None:
    """Make a CUDA device this process's own: what is called `cuda` from now on."""
    if number >= torch.cuda.device_count():
        raise ConfigurationError(
            f"There are {torch.cuda.device_count()} CUDA devices here for {number + 1} or more "
            "processes: give torchrun a smaller --nproc-per-node, or add --device cpu."
        )
    torch.cuda.set_device(number)
