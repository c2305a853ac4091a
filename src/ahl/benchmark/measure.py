"""Measurement of a trial: scores, figures, time and memory."""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any, Self

import numpy as np
import psutil
import torch

from ahl._common.errors import DataError
from ahl._common.version import __version__
from ahl.benchmark.problem import OpenedDraw, Problem
from ahl.benchmark.results import ScoredTest, TrialResult, config_hash
from ahl.benchmark.trials import Trial
from ahl.distributions.pseudo import PseudoAnomaly
from ahl.features.table import FeatureTable
from ahl.scoring.metrics import open_set_figures

INTERVAL = 0.05
"""Seconds between two samples of the memory."""


class Watch:
    """Measures wall time and this process's peak memory during a block.

    Attributes:
        seconds: wall time without pauses, after the block.
        peak_mebibytes: highest resident size sampled, in MiB.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.peak_mebibytes = 0.0
        self._paused = 0.0

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Exclude the time of an inner block."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._paused += time.perf_counter() - started

    def __enter__(self) -> Self:
        self._process = psutil.Process()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._started = time.perf_counter()
        self._note()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._started - self._paused
        self._stopped.set()
        self._thread.join()
        self._note()

    def _look(self) -> None:
        while not self._stopped.wait(INTERVAL):
            self._note()

    def _note(self) -> None:
        held = self._process.memory_info().rss / 2**20
        self.peak_mebibytes = max(self.peak_mebibytes, held)


def measure(
    trial: Trial, draw: OpenedDraw, context: dict[str, Any], source: OpenedDraw | None = None
) -> tuple[TrialResult, ScoredTest]:
    """Train and score a trial's method, and compute its figures.

    Args:
        trial: the trial.
        draw: its features; the constants are taken from the trial.
        context: backbone and device, for the result.
        source: in a transfer, the draw to train on; `draw` is then the target.

    Returns:
        the trial's result and its scores.

    Raises:
        DataError: if the method returns scores of another shape or non-finite ones, or the test
            lacks normal images or anomalies.
    """
    method = trial.variant.method
    with Watch() as watch:
        problem = _watched(draw.problem, trial, watch)
        if source is None:
            found = method.score(problem)
        else:
            found = method.transfer(_watched(source.problem, trial, watch), problem)
    scores = np.asarray(found, dtype=np.float64)
    if scores.shape != (len(draw.test),) or not np.isfinite(scores).all():
        raise DataError(
            f"The method {trial.variant.text} gave scores of shape {scores.shape} for "
            f"{len(draw.test)} test images, or scores that are not finite."
        )
    classes = [sample.class_name for sample in draw.test]
    labels = np.array([int(sample.is_anomaly) for sample in draw.test])
    seen = np.array([name in draw.seen_classes for name in classes])
    figures = open_set_figures(labels, scores, seen)
    if figures.auroc is None:
        raise DataError("A test needs normal images and anomalies.")
    result = TrialResult(
        key=trial.key,
        **asdict(trial.draw),
        method=trial.variant.text,
        title=method.title,
        kind=method.kind,
        labels=method.labels,
        **asdict(figures),
        normals=len(problem.normals),
        tested_normals=int((labels == 0).sum()),
        tested_anomalies=int((labels == 1).sum()),
        skipped=draw.skipped,
        duplicates=draw.duplicates,
        seconds=round(watch.seconds, 3),
        peak_mebibytes=round(watch.peak_mebibytes, 1),
        config=config_hash(trial.config.to_dict()),
        context={
            **context,
            "ahl": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
            "threads": torch.get_num_threads(),
        },
        image_size=problem.config.features.size,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    names = [sample.name for sample in draw.test]
    return result, ScoredTest(names=names, classes=classes, labels=labels, scores=scores)


def _watched(problem: Problem, trial: Trial, watch: Watch) -> Problem:
    """The problem with the trial's config, with extraction of pseudo anomalies left untimed.

    Their features are cached: only the first method that uses them would be charged for them.
    """

    def make_pseudo(plan: Sequence[PseudoAnomaly]) -> FeatureTable | None:
        with watch.paused():
            return problem.make_pseudo(plan)

    config = replace(trial.config, features=problem.config.features)
    return replace(problem, config=config, make_pseudo=make_pseudo)
