"""Runs the trials of a benchmark draw by draw, resumably, in one process or several."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from multiprocessing.queues import Queue
from pathlib import Path
from queue import Empty
from typing import Any

import torch

from ahl._common.callbacks import Callback
from ahl._common.errors import AHLError, ConfigurationError, DataError
from ahl.benchmark.measure import measure
from ahl.benchmark.problem import OpenedDraw, StageZero, open_draw
from ahl.benchmark.results import Results, ScoredTest, TrialResult
from ahl.benchmark.trials import Benchmark, Trial, TrialBatch, plan, run_context
from ahl.config import Config
from ahl.data import Dataset, TrainingSplit, draw_every_class, draw_split
from ahl.data.folders import by_name
from ahl.data.splits import of_other_parts, split_normals


@dataclass(frozen=True, kw_only=True, eq=False)
class Finished:
    """A trial with its result and scores, or the reason for its failure."""

    trial: Trial
    found: tuple[TrialResult, ScoredTest] | None = None
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Counts of a run's trials.

    Attributes:
        computed: number of trials computed now.
        kept: number of trials whose results existed already.
        failed: label and reason of each trial that failed.
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
    """Measure the trials that a results folder lacks, and add them to it.

    Args:
        benchmark: the benchmark to run.
        folder: the results folder.
        resume: True to continue in a folder that has results; False refuses such a folder.
        jobs: number of processes, which share the threads.
        callback: receives progress and failed trials.

    Raises:
        ConfigurationError: if a method or setting is unknown, or the folder has results.
        DataError: if no dataset has enough images for any draw.

    Examples:
        >>> from pathlib import Path
        >>> from ahl import Benchmark, BenchmarkDataset, open_dataset, preset, run_benchmark
        >>> parts = BenchmarkDataset(name="Parts", subsets=(open_dataset(Path("parts")),))
        >>> benchmark = Benchmark(
        ...     datasets=[parts], methods=["logistic"], anomalies=(2,), seeds=(0,),
        ...     config=preset("default", image_size=64),
        ... )
        >>> run_benchmark(benchmark, Path("results")).computed
        1
    """
    callback = callback or Callback()
    results = Results(folder)
    if results.trials and not resume:
        raise ConfigurationError(
            f"{folder} holds results already. Continue with --resume, or give another folder."
        )
    context = run_context(benchmark)
    batches = list(plan(benchmark, context))
    total = sum(len(batch.trials) for batch in batches)
    if not total:
        raise DataError("No dataset has enough anomalies for any of these settings.")
    missing = []
    for batch in batches:
        if trials := tuple(one for one in batch.trials if one.key not in results.trials):
            missing.append(replace(batch, trials=trials))
    done = kept = total - sum(len(batch.trials) for batch in missing)
    failed = []
    callback.on_stage("trials", done, total)
    for finished in _finished(missing, benchmark, folder, context, jobs, callback):
        done += 1
        label = finished.trial.label
        if finished.found is None:
            failed.append((label, finished.failure))
            callback.on_note(f"{label}: failed: {finished.failure}")
        else:
            result, scored = finished.found
            results.add(result, finished.trial.config.to_dict(), scored)
            callback.on_note(f"{label}: AUROC {result.auroc:.3f} ({result.seconds:.0f} s)")
        callback.on_stage("trials", done, total)
    return Outcome(computed=done - kept - len(failed), kept=kept, failed=tuple(failed))


def run_batch(
    batch: TrialBatch,
    benchmark: Benchmark,
    folder: Path,
    context: dict[str, Any],
    callback: Callback,
) -> Iterator[Finished]:
    """Measure the trials of one draw; one that fails does not stop the others.

    Args:
        batch: the trials.
        benchmark: their benchmark.
        folder: the results folder, which also keeps the states of fine-tuned backbones.
        context: backbone and device, for the results.
        callback: receives progress.
    """
    stage_zero = None
    if batch.heads is not None:
        stage_zero = StageZero(heads=batch.heads, checkpoint=folder / "finetuned" / batch.key)
        context = context | {"finetuned": batch.heads.name}

    def opened(
        split: TrainingSplit, config: Config, *, labelled: bool = True
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
            stage_zero=stage_zero,
        )

    try:
        with ExitStack() as stack:
            source = None
            draw = stack.enter_context(opened(_split(batch), benchmark.config))
            if batch.source is not None:
                source, config = draw, draw.problem.config
                target = opened(_unlabelled(batch.dataset), config, labelled=False)
                draw = stack.enter_context(target)
            for trial in batch.trials:
                try:
                    yield Finished(trial=trial, found=measure(trial, draw, context, source))
                except AHLError as error:
                    yield Finished(trial=trial, failure=str(error))
    except AHLError as error:  # the draw itself: its images or its backbone
        for trial in batch.trials:
            yield Finished(trial=trial, failure=str(error))


def _split(batch: TrialBatch) -> TrainingSplit:
    """The split to train on; in a transfer, the source's."""
    split = draw_every_class if batch.trials[0].variant.sees_every_class else draw_split
    return split(
        batch.source or batch.dataset,
        anomalies=batch.draw.anomalies,
        setting=batch.draw.setting,
        known_class=batch.draw.known_class or None,
        seed=batch.draw.seed,
    )


def _unlabelled(dataset: Dataset) -> TrainingSplit:
    """The target's split in a transfer: its training normals, and all anomalies in the test."""
    normals, test_normals = split_normals(dataset)
    given = by_name((*test_normals, *dataset.anomalies))
    test = of_other_parts(given, normals)
    return TrainingSplit(
        normals=normals,
        anomalies=(),
        test=test,
        drawn="all",
        known_class=None,
        left_out=len(given) - len(test),
    )


def _finished(
    batches: Sequence[TrialBatch],
    benchmark: Benchmark,
    folder: Path,
    context: dict[str, Any],
    jobs: int,
    callback: Callback,
) -> Iterator[Finished]:
    if jobs == 1:
        for batch in batches:
            yield from run_batch(batch, benchmark, folder, context, _Quiet(callback))
        return
    threads = max(1, torch.get_num_threads() // jobs)
    # Spawned, not forked: a forked torch may hang in its threads. Trials come back one by one
    # through a queue, so that a killed run has lost none that was finished.
    processes = multiprocessing.get_context("spawn")
    queue: Queue[Finished] = processes.Queue()
    with ProcessPoolExecutor(
        jobs,
        mp_context=processes,
        initializer=_start_process,
        initargs=(threads, queue),
    ) as pool:
        tasks = [pool.submit(_run_remotely, batch, benchmark, folder, context) for batch in batches]
        expected = sum(len(batch.trials) for batch in batches)
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
"""Queue by which one of several processes returns its trials; queues must be inherited."""


def _start_process(threads: int, queue: Queue[Finished]) -> None:
    global _reports  # noqa: PLW0603 - one for the life of the process
    _reports = queue
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when its parent has ended, even if the parent was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "one of several"
    parent.join()
    os._exit(1)


def _run_remotely(
    batch: TrialBatch, benchmark: Benchmark, folder: Path, context: dict[str, Any]
) -> None:
    assert _reports is not None, "set when the process started"
    for finished in run_batch(batch, benchmark, folder, context, Callback()):
        _reports.put(finished)


class _Quiet(Callback):
    """Passes on progress of feature extraction, but not the notes and skips of each draw."""

    def __init__(self, callback: Callback) -> None:
        self._callback = callback

    def on_stage(self, stage: str, done: int, total: int) -> None:
        """Pass the progress on if there is anything to extract."""
        if total:
            self._callback.on_stage(stage, done, total)
