"""Shards on Ray Data: a pool of actors, each with the model loaded once.

Ray carries the model, lists of images and counts; the actor that scores a shard reads its images
and writes its scores itself.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from ahl._common import errors
from ahl._common.errors import AHLError, ConfigurationError, DataError
from ahl._common.process_settings import SETTINGS, usable_cores
from ahl._common.schema import read_json
from ahl._common.text import first_line
from ahl.apps.bulk.shards import Job, ShardFacts, ShardScorer, ShardTask

_MOST_BLOCKS: Final = 20_000
"""Most blocks of work that Ray is given: of more shards, several go in one."""

_CAUSE: Final = re.compile(r"([A-Za-z_]\w*\.)*\w*(Error|Exception): .")

_STORE: Final = 256 * 2**20
"""Bytes of Ray's object store on this machine: it holds one model and lists of paths."""


@dataclass(frozen=True, kw_only=True)
class RayEngine:
    """Shards scored by actors of Ray Data.

    Attributes:
        workers: number of actors; None for as many as the cluster has room for.
        threads: CPU threads of each actor.
        address: of a running cluster, or `"auto"`; None starts Ray on this machine for the run.

    Raises:
        ConfigurationError: if Ray is not installed.
    """

    workers: int | None = None
    threads: int = 1
    address: str | None = None

    def __post_init__(self) -> None:
        if "ray" not in sys.modules:
            _restrain_ray(alone=self.address is None)
        try:
            import ray.data  # noqa: F401
        except ImportError:
            raise ConfigurationError(
                "The engine ray needs Ray. Install it with: pip install 'ahl[ray]'."
            ) from None

    def __call__(self, job: Job, tasks: Sequence[ShardTask]) -> Iterator[ShardFacts]:
        """Score and write every shard, in the order in which actors finish.

        Raises:
            ConfigurationError: if the output is in memory, or no machine has the GPU asked for.
            DataError: if Ray fails, or cannot be reached.
            AHLError: whatever a shard raises.
        """
        import ray

        if job.output.startswith("memory://"):
            raise ConfigurationError(
                f"{job.output} is in the memory of this process, where Ray's workers cannot "
                "write; give a folder or bucket that all machines share."
            )
        with self._connected():
            logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # errors are raised here
            context = ray.data.DataContext.get_current()
            context.enable_progress_bars = False
            context.enable_operator_progress_bars = False
            resources = ray.cluster_resources()
            gpus = resources.get("GPU", 0) if job.device in ("auto", "cuda") else 0
            if job.device == "cuda" and not gpus:
                raise ConfigurationError("--device cuda: no machine of the Ray cluster has a GPU.")
            room = resources.get("CPU", 1) // self.threads
            workers = self.workers or max(1, int(min(room, gpus) if gpus else room))
            dataset = ray.data.from_items(
                [{"task": json.dumps(msgspec.to_builtins(task))} for task in tasks],
                override_num_blocks=min(len(tasks), _MOST_BLOCKS),
            ).map(
                ShardActor,
                # One at a time: a shard takes long enough, and none waits behind another's actor.
                compute=ray.data.ActorPoolStrategy(
                    size=min(workers, len(tasks)), max_tasks_in_flight_per_actor=1
                ),
                num_cpus=self.threads,
                num_gpus=1 if gpus else 0,
                runtime_env={"env_vars": _environment(self.threads)},
                fn_constructor_kwargs={
                    "job": job,
                    "model": job.model.read_bytes(),
                    "threads": self.threads,
                },
            )
            for row in dataset.iter_rows():
                if row["error"]:
                    raise getattr(errors, row["error"], DataError)(row["text"])
                yield read_json(row["text"], ShardFacts)

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """Connect to Ray, or start it, for a block; its errors become DataError."""
        import ray

        started = not ray.is_initialized()
        try:
            if started:
                self._start()
            yield
        except ray.exceptions.RayError as error:
            raise DataError(f"Ray stopped: {_cause_of(error)}") from error
        finally:
            if started:
                ray.shutdown()

    def _start(self) -> None:
        import ray

        options: dict[str, Any] = {"address": self.address}
        if self.address is None:
            options = {
                "address": "local",
                "num_cpus": max(usable_cores(), (self.workers or 1) * self.threads),
                "object_store_memory": _STORE,
                "include_dashboard": False,
            }
        try:
            ray.init(log_to_driver=False, logging_level="ERROR", **options)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            where = f"reached at {self.address}" if self.address else "started on this machine"
            raise DataError(f"Ray cannot be {where}: {first_line(error)}") from error


class ShardActor:
    """Actor with a scorer whose model came through Ray, not through a shared folder.

    An error that a user can mend is returned like a result: raised, it would come below pages of
    Ray's own output.

    Args:
        job: the run.
        model: bytes of the model file.
        threads: CPU threads.
    """

    def __init__(self, job: Job, model: bytes, threads: int) -> None:
        self._job, self._model, self._threads = job, model, threads
        self._scorer: ShardScorer | None = None

    def __call__(self, row: Mapping[str, str]) -> dict[str, str]:
        """Score the shard of a row, and return its facts, or an error's name and message."""
        try:
            self._scorer = self._scorer or self._opened()
            facts = self._scorer.score(read_json(row["task"], ShardTask))
        except AHLError as error:
            return {"error": type(error).__name__, "text": str(error)}
        return {"error": "", "text": msgspec.json.encode(facts).decode()}

    def _opened(self) -> ShardScorer:
        with tempfile.TemporaryDirectory(prefix="ahl-") as folder:
            path = Path(folder) / self._job.model.name
            path.write_bytes(self._model)
            try:
                return ShardScorer(msgspec.structs.replace(self._job, model=path), self._threads)
            except AHLError as error:
                text = str(error).replace(str(path), str(self._job.model))
                raise type(error)(text) from None


def _cause_of(error: Exception) -> str:
    """The first line that names an error, out of the tracebacks of several processes."""
    lines = [line.strip() for line in str(error).strip().splitlines()] or [type(error).__name__]
    causes = [line for line in lines if _CAUSE.match(line)]
    return first_line(Exception((causes or lines)[0]))


def _restrain_ray(*, alone: bool) -> None:
    """Set environment variables that Ray reads on import, unless the user has set them.

    By default Ray reports usage to its makers, listens on the network except on Windows and macOS,
    and takes commands from anyone who reaches it.

    Args:
        alone: Ray runs on this machine only.
    """
    ours = {"RAY_USAGE_STATS_ENABLED": "0"}
    if alone:
        ours["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        if "RAY_AUTH_MODE" not in os.environ:
            ours |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    for name, value in ours.items():
        os.environ.setdefault(name, value)


def _environment(threads: int) -> dict[str, str]:
    """Environment of an actor: its number of threads, the command's settings, and fsspec's."""
    passed = {name: value for name, value in os.environ.items() if name.startswith("FSSPEC_")}
    limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    return limits | SETTINGS | passed
