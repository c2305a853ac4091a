"""Runs the cells of a benchmark: draw by draw, resumable, on one process or several."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from multiprocessing.queues import Queue
from pathlib import Path
from queue import Empty
from typing import Any

import psutil
import torch

from ahl._common.callbacks import Callback
from ahl._common.errors import AHLError, ConfigurationError, DataError
from ahl.benchmark.cells import Cell, Draw
from ahl.benchmark.measuring import measure
from ahl.benchmark.planning import Benchmark, CellBatch, plan, run_context
from ahl.benchmark.problem import OpenedDraw, open_draw
from ahl.benchmark.results import Record, Results, ScoredTest
from ahl.config import Config
from ahl.data import Dataset, TrainingSplit, draw_every_class, draw_split
from ahl.data.splits import split_normals


@dataclass(frozen=True, kw_only=True, eq=False)
class Finished:
    """What a cell left: a record with its scores, or the reason why there is none."""

    cell: Cell
    record: Record | None = None
    scored: ScoredTest | None = None
    failure: str = ""

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.cell.draw.label} {self.cell.spec.text}"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended.

    Attributes:
        computed: cells computed now.
        kept: cells that were there already.
        failed: label and reason of each cell that failed.
    """

    computed: int
    kept: int
    failed: tuple[tuple[str, str], ...]


def run_benchmark(
    benchmark: Benchmark,
    folder: Path,
    *,
    resume: bool = False,
    jobs: int = 1,
    callback: Callback | None = None,
) -> Outcome:
    """Measure what is not measured yet, and add it to the folder.

    Args:
        benchmark: what to measure.
        folder: the results folder.
        resume: go on in a folder that has results; without it such a folder is refused.
        jobs: processes; each takes a share of the threads.
        callback: receives every cell.

    Raises:
        ConfigurationError: if a method or setting is not known, or the folder has results.
        DataError: if no dataset has enough images for any draw.
    """
    callback = callback or Callback()
    results = Results(folder)
    if results.records and not resume:
        raise ConfigurationError(
            f"{folder} holds results already. Go on with --resume, or give another folder."
        )
    context = run_context(benchmark)
    batches = list(plan(benchmark, context))
    total = sum(len(batch.cells) for batch in batches)
    if not total:
        raise DataError("No dataset has enough anomalies for any of these settings.")
    missing = [left for batch in batches if (left := _without(batch, results.records))]
    done = total - sum(len(batch.cells) for batch in missing)
    kept, failed = done, list[tuple[str, str]]()
    callback.on_stage("cells", done, total)
    for finished in _finished(missing, benchmark, context, jobs, callback):
        done += 1
        record, scored = finished.record, finished.scored
        if record is None or scored is None:
            failed.append((finished.label, finished.failure))
            callback.on_note(f"{finished.label}: failed: {finished.failure}")
        else:
            results.add(record, finished.cell.config.to_dict(), scored)
            figures = f"AUROC {record.auroc:.3f} ({record.seconds:.0f} s)"
            callback.on_note(f"{finished.label}: {figures}")
        callback.on_stage("cells", done, total)
    return Outcome(computed=done - kept - len(failed), kept=kept, failed=tuple(failed))


def run_batch(
    batch: CellBatch, benchmark: Benchmark, context: dict[str, Any], callback: Callback
) -> Iterator[Finished]:
    """Measure the cells of one draw; one that fails does not stop the others."""
    try:
        with ExitStack() as stack:
            source = None
            if batch.source is None:
                split = _split(batch)
                opened = stack.enter_context(
                    _open(split, benchmark, benchmark.config, batch, callback)
                )
            else:
                split = _draw(batch.source, batch.draw)
                source = stack.enter_context(
                    _open(split, benchmark, benchmark.config, batch, callback)
                )
                target, config = _unlabelled(batch.dataset), source.problem.config
                opened = stack.enter_context(
                    _open(target, benchmark, config, batch, callback, labelled=False)
                )
            for cell in batch.cells:
                try:
                    record, scored = measure(cell, opened, context, source)
                except AHLError as error:
                    yield Finished(cell=cell, failure=str(error))
                else:
                    yield Finished(cell=cell, record=record, scored=scored)
    except AHLError as error:  # the draw itself: its images or its backbone
        for cell in batch.cells:
            yield Finished(cell=cell, failure=str(error))


def _open(
    split: TrainingSplit,
    benchmark: Benchmark,
    config: Config,
    batch: CellBatch,
    callback: Callback,
    *,
    labelled: bool = True,
) -> AbstractContextManager[OpenedDraw]:
    return open_draw(
        split,
        benchmark.backbone,
        config,
        seed=batch.draw.seed,
        device=benchmark.device,
        cache=benchmark.cache,
        callback=callback,
        labelled=labelled,
    )


def _split(batch: CellBatch) -> TrainingSplit:
    if batch.labels == "every class":
        draw = batch.draw
        return draw_every_class(
            batch.dataset,
            anomalies=draw.anomalies,
            setting=draw.setting,
            known_class=draw.known_class or None,
            seed=draw.seed,
        )
    return _draw(batch.dataset, batch.draw)


def _draw(dataset: Dataset, draw: Draw) -> TrainingSplit:
    return draw_split(
        dataset,
        anomalies=draw.anomalies,
        setting=draw.setting,
        known_class=draw.known_class or None,
        seed=draw.seed,
    )


def _unlabelled(dataset: Dataset) -> TrainingSplit:
    """The target of a transfer: its training normals adapt, all of its anomalies are tested."""
    normals, test_normals = split_normals(dataset)
    return TrainingSplit(
        normals=normals,
        anomalies=(),
        test=tuple(sorted((*test_normals, *dataset.anomalies), key=lambda sample: sample.name)),
        drawn="all",
        known_class=None,
    )


def _without(batch: CellBatch, known: dict[str, Record]) -> CellBatch | None:
    cells = tuple(cell for cell in batch.cells if cell.key not in known)
    if not cells:
        return None
    return replace(batch, cells=cells)


def _finished(
    batches: Sequence[CellBatch],
    benchmark: Benchmark,
    context: dict[str, Any],
    jobs: int,
    callback: Callback,
) -> Iterator[Finished]:
    if jobs == 1:
        for batch in batches:
            yield from run_batch(batch, benchmark, context, _Quiet(callback))
        return
    threads = max(1, torch.get_num_threads() // jobs)
    # Spawned, not forked: a forked torch may hang in its threads. Cells come back one by one
    # through a queue, so that a killed run has lost none that was finished.
    processes = multiprocessing.get_context("spawn")
    queue: Queue[Finished] = processes.Queue()
    with ProcessPoolExecutor(
        jobs,
        mp_context=processes,
        initializer=_start_process,
        initargs=(threads, os.getpid(), queue),
    ) as pool:
        tasks = [pool.submit(_run_remotely, batch, benchmark, context) for batch in batches]
        expected = sum(len(batch.cells) for batch in batches)
        while expected:
            # Asked before the queue is: a process that died reports no more.
            over = all(task.done() for task in tasks)
            try:
                yield queue.get(timeout=1.0)
                expected -= 1
            except Empty:
                if over:
                    break
        for task in tasks:
            task.result()  # raises what a process died of


_reports: Queue[Finished] | None = None
"""Where this process reports its cells, if it is one of several: a queue can only be inherited."""


def _start_process(threads: int, parent: int, queue: Queue[Finished]) -> None:
    """Set a process up; it ends with its parent, also when that is killed and cannot say so."""
    global _reports  # noqa: PLW0603 - one for the life of the process
    _reports = queue
    torch.set_num_threads(threads)

    def end_with_parent() -> None:
        while psutil.pid_exists(parent) and psutil.Process().ppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def _run_remotely(batch: CellBatch, benchmark: Benchmark, context: dict[str, Any]) -> None:
    assert _reports is not None, "set when the process started"
    for finished in run_batch(batch, benchmark, context, Callback()):
        _reports.put(finished)


class _Quiet(Callback):
    """Passes on progress of the features, but not notes and skips of every single draw."""

    def __init__(self, callback: Callback) -> None:
        self._callback = callback

    def on_stage(self, stage: str, done: int, total: int) -> None:
        """Pass on, where there is anything to extract."""
        if total:
            self._callback.on_stage(stage, done, total)
