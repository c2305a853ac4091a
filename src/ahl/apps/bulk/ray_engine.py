"""Shards on Ray Data: a pool of actors, each with the model loaded once.

What goes through Ray is which images make a shard, and what came of it; the images themselves are
read, and the scores written, by the actor that scores them.
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
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from ahl._common import errors
from ahl._common.errors import AHLError, ConfigurationError, DataError
from ahl._common.process_settings import SETTINGS, usable_cores
from ahl.apps.bulk.inputs import as_values, from_values
from ahl.apps.bulk.run import Job
from ahl.apps.bulk.shard import ShardScorer, ShardTask
from ahl.apps.bulk.shard_files import ShardFacts
from ahl.data.images.decoding import brief

_MOST_BLOCKS: Final = 20_000
"""Work items that Ray is given: beyond, several shards go in one."""

_CAUSE: Final = re.compile(r"([A-Za-z_]\w*\.)*\w*(Error|Exception): .")

_STORE: Final = 256 * 2**20
"""Bytes of Ray's object store on this machine: it holds one model and lists of paths."""


class RayEngine:
    """Shards scored by actors of Ray Data.

    Args:
        workers: how many actors; None for as many as the cluster has room for.
        threads: CPU threads of each.
        address: of a running cluster, or `"auto"`; None starts Ray on this machine for the run.

    Raises:
        ConfigurationError: if Ray is not installed.
    """

    def __init__(
        self, *, workers: int | None = None, threads: int = 1, address: str | None = None
    ) -> None:
        if "ray" not in sys.modules:
            _restrain_ray(alone=address is None)
        try:
            import ray.data  # noqa: F401
        except ImportError:
            raise ConfigurationError(
                "The engine ray needs Ray. Install it with: pip install 'ahl[ray]'."
            ) from None
        self.workers = workers
        self.threads = threads
        self.address = address

    def run(self, job: Job, tasks: Sequence[ShardTask]) -> Iterator[ShardFacts]:
        """Score and write every shard, in the order in which actors finish.

        Raises:
            DataError: if Ray fails, or cannot be reached.
            AHLError: whatever a shard raises.
        """
        import ray

        _check_reachable(job.output)
        started = not ray.is_initialized()
        if started:
            self._start()
        try:
            yield from self._run(job, tasks)
        except ray.exceptions.RayError as error:
            raise DataError(f"Ray stopped: {_cause_of(error)}") from error
        finally:
            if started:
                ray.shutdown()

    def _start(self) -> None:
        import ray

        quiet = {"log_to_driver": False, "logging_level": "ERROR"}
        try:
            if self.address is not None:
                ray.init(address=self.address, **quiet)
                return
            cores = max(usable_cores(), (self.workers or 1) * self.threads)
            ray.init(
                address="local",
                num_cpus=cores,
                object_store_memory=_STORE,
                include_dashboard=False,
                **quiet,
            )
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            where = f"reached at {self.address}" if self.address else "started on this machine"
            raise DataError(f"Ray cannot be {where}: {brief(error)}") from error

    def _run(self, job: Job, tasks: Sequence[ShardTask]) -> Iterator[ShardFacts]:
        import ray

        logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # errors are told here
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.enable_operator_progress_bars = False
        gpus = self._gpus(job.device)
        workers = self.workers or self._room(gpus)
        items = [
            {"number": t.number, "name": t.name, "part": json.dumps(as_values(t.part))}
            for t in tasks
        ]
        facts = ray.data.from_items(
            items, override_num_blocks=min(len(items), _MOST_BLOCKS)
        ).map_batches(
            ShardActor,
            batch_size=1,
            batch_format="numpy",
            # One at a time: a shard takes long enough, and none waits behind another's actor.
            compute=ray.data.ActorPoolStrategy(
                size=min(workers, len(items)), max_tasks_in_flight_per_actor=1
            ),
            num_cpus=self.threads,
            num_gpus=gpus,
            runtime_env={"env_vars": _environment(self.threads)},
            fn_constructor_kwargs={
                "job": job.values(),
                "model": job.model.read_bytes(),
                "threads": self.threads,
            },
        )
        for row in facts.iter_rows():
            yield _facts(row["told"])

    def _gpus(self, device: str) -> int:
        import ray

        there = ray.cluster_resources().get("GPU", 0)
        if device == "cuda" and not there:
            raise ConfigurationError("--device cuda: no machine of the Ray cluster has a GPU.")
        return 1 if device in ("auto", "cuda") and there else 0

    def _room(self, gpus: int) -> int:
        """How many actors the cluster holds."""
        import ray

        resources = ray.cluster_resources()
        room = int(resources.get("CPU", 1)) // self.threads
        return max(1, min(room, int(resources["GPU"])) if gpus else room)


class ShardActor:
    """What an actor is: a scorer whose model came through Ray, not through a shared folder.

    A mistake that a user can mend is handed back like a result: raised, it would come out below
    pages of Ray's own.

    Args:
        job: fields of a `Job`.
        model: bytes of the model file.
        threads: CPU threads.
    """

    def __init__(self, job: Mapping[str, Any], model: bytes, threads: int) -> None:
        self._scorer: ShardScorer | None = None
        self._failure = ""
        with tempfile.TemporaryDirectory(prefix="ahl-") as folder:
            path = Path(folder) / Path(job["model"]).name
            path.write_bytes(model)
            try:
                self._scorer = ShardScorer(**{**job, "model": path}, threads=threads)
            except AHLError as error:
                text = str(error).replace(str(path), str(job["model"]))
                self._failure = _as_failure(type(error), text)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[str]]:
        """Score the shards of a batch, and tell what came of each as JSON."""
        told = []
        for number, name, part in zip(batch["number"], batch["name"], batch["part"], strict=True):
            task = ShardTask(
                number=int(number), name=str(name), part=from_values(json.loads(str(part)))
            )
            told.append(self._failure if self._scorer is None else _told(self._scorer, task))
        return {"told": told}


def _told(scorer: ShardScorer, task: ShardTask) -> str:
    try:
        return json.dumps(asdict(scorer.score(task)))
    except AHLError as error:
        return _as_failure(type(error), str(error))


def _as_failure(kind: type[AHLError], text: str) -> str:
    return json.dumps({"failure": kind.__name__, "text": text})


def _facts(told: str) -> ShardFacts:
    """What a shard's actor told.

    Raises:
        AHLError: if it told of a failure.
    """
    values = json.loads(told)
    if "failure" in values:
        kind = getattr(errors, values["failure"], DataError)
        raise kind(values["text"])
    return ShardFacts(**values)


def _cause_of(error: Exception) -> str:
    """The line that says what went wrong first, out of the stacks of several processes."""
    lines = [line.strip() for line in str(error).strip().splitlines()] or [type(error).__name__]
    causes = [line for line in lines if _CAUSE.match(line)]
    return brief(Exception((causes or lines)[0]))


def _restrain_ray(*, alone: bool) -> None:
    """Settings that Ray reads when it is imported, for those that the user has not made.

    It reports usage to its makers unless told not to, listens to the network unless it believes to
    be on a desktop, and on its own obeys whoever reaches it.

    Args:
        alone: whether it is to run on this machine only.
    """
    ours = {"RAY_USAGE_STATS_ENABLED": "0"}
    if alone:
        ours["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        if "RAY_AUTH_MODE" not in os.environ:
            ours |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    for name, value in ours.items():
        os.environ.setdefault(name, value)


def _environment(threads: int) -> dict[str, str]:
    """What `ahl` sets for itself on the command line, before torch is loaded."""
    ours = {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        **SETTINGS,
    }
    passed = {k: v for k, v in os.environ.items() if k.startswith("FSSPEC_")}
    return ours | passed


def _check_reachable(output: str) -> None:
    if output.startswith("memory://"):
        raise ConfigurationError(f"{output} is this process's own memory: Ray's workers lack it.")
