"""One method on one draw: scores, figures, time and memory."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch

from ahl._common.errors import DataError
from ahl._common.version import __version__
from ahl.benchmark.cells import Cell
from ahl.benchmark.problem import OpenedDraw, Problem
from ahl.benchmark.results import Record, ScoredTest, config_hash
from ahl.benchmark.watch import Watch
from ahl.distributions.pseudo import PseudoAnomaly
from ahl.features.table import FeatureTable
from ahl.scoring.metrics import open_set_figures


def measure(
    cell: Cell, draw: OpenedDraw, context: dict[str, Any], source: OpenedDraw | None = None
) -> tuple[Record, ScoredTest]:
    """Train, score and sum up.

    Args:
        cell: what is measured.
        draw: its features; the constants are taken from the cell.
        context: backbone and device, for the record.
        source: in a transfer, what is trained on; `draw` is then the target.

    Raises:
        DataError: if the method gives scores of another shape, or not finite.
    """
    method = cell.spec.method
    with Watch() as watch:
        problem = _watched(draw.problem, cell, watch)
        found = (
            method.score(problem)
            if source is None
            else method.transfer(_watched(source.problem, cell, watch), problem)
        )
    scores = np.asarray(found, dtype=np.float64)
    if scores.shape != (len(draw.test),) or not np.isfinite(scores).all():
        raise DataError(
            f"The method {cell.spec.text} gave scores of shape {scores.shape} for "
            f"{len(draw.test)} test images, or scores that are not finite."
        )
    labels = np.array([int(sample.is_anomaly) for sample in draw.test])
    seen = np.array([sample.class_name in draw.seen_classes for sample in draw.test])
    figures = open_set_figures(labels, scores, seen)
    record = Record(
        key=cell.key,
        dataset=cell.draw.dataset,
        subset=cell.draw.subset,
        setting=cell.draw.setting,
        known_class=cell.draw.known_class,
        anomalies=cell.draw.anomalies,
        seed=cell.draw.seed,
        source=cell.draw.source,
        method=cell.spec.text,
        title=method.title,
        kind=method.kind,
        labels=method.labels,
        auroc=_there(figures.auroc),
        average_precision=_there(figures.average_precision),
        auroc_seen=figures.auroc_seen,
        auroc_unseen=figures.auroc_unseen,
        fpr95=_there(figures.fpr95),
        normals=len(problem.normals),
        tested_normals=int((labels == 0).sum()),
        tested_anomalies=int((labels == 1).sum()),
        skipped=draw.skipped,
        duplicates=draw.duplicates,
        seconds=round(watch.seconds, 3),
        peak_mebibytes=round(watch.peak_mebibytes, 1),
        config=config_hash(cell.config.to_dict()),
        context={**context, **versions()},
        image_size=problem.config.features.size,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return record, ScoredTest(
        names=[sample.name for sample in draw.test],
        classes=[sample.class_name for sample in draw.test],
        labels=labels,
        scores=scores,
    )


def _watched(problem: Problem, cell: Cell, watch: Watch) -> Problem:
    """The problem with the cell's config, and pseudo anomalies whose features cost it no time.

    The first method that wants them would pay for all others, which find them in the cache.
    """

    def make_pseudo(plan: Sequence[PseudoAnomaly]) -> FeatureTable | None:
        with watch.paused():
            return problem.make_pseudo(plan)

    config = replace(cell.config, features=problem.config.features)
    return replace(problem, config=config, make_pseudo=make_pseudo)


def versions() -> dict[str, Any]:
    """What computes: versions, threads and machine."""
    return {
        "ahl": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
    }


def _there(value: float | None) -> float:
    if value is None:
        raise DataError("A test needs normal images and anomalies.")
    return value
