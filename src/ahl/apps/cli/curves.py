"""Learning curves as text, for `ahl info`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from rich.table import Table

from ahl._common.history import EpochRecord
from ahl.apps.report.training_plots import split_trainings

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII_BLOCKS = "_.-~=+*#"
"""For consoles without Unicode."""

WIDTH = 12
"""Characters of a curve at most."""


def sparkline(values: Sequence[float], lowest: float, highest: float, blocks: str = BLOCKS) -> str:
    """A curve in one line of characters.

    Args:
        values: at least one, in order; more than the width are averaged, neighbour with neighbour.
        lowest: drawn as the first of the blocks.
        highest: drawn as the last of them.
        blocks: characters, from low to high. What is no finite number becomes an x.
    """
    spread = highest - lowest
    drawn = ""
    for part in np.array_split(np.asarray(values, dtype=float), min(WIDTH, len(values))):
        mean = float(part.mean())
        if not math.isfinite(mean):
            drawn += "x"
            continue
        share = (mean - lowest) / spread if spread > 0 else 0.0
        drawn += blocks[min(len(blocks) - 1, max(0, int(share * len(blocks))))]
    return drawn


def curve_tables(
    history: Sequence[EpochRecord], *, ascii_only: bool = False
) -> list[tuple[str, Table]]:
    """A title and a table for the training, and for each adaptation after it.

    Args:
        history: of all epochs; they are counted from 1 again where another training begins.
        ascii_only: without Unicode.
    """
    blocks = ASCII_BLOCKS if ascii_only else BLOCKS
    return [
        (
            f"{'adaptation' if number else 'training'}, first to last of {len(training)} epochs",
            _table(training, blocks),
        )
        for number, training in enumerate(split_trainings(history))
    ]


def _table(history: Sequence[EpochRecord], blocks: str) -> Table:
    """One row for the mean of the base models, and one for each if they are several."""
    last = history[-1]
    names, weights = ["alone"], [""]
    if len(last.importance) > 1:
        names = ["mean", *(str(number + 1) for number in range(len(last.importance)))]
        weights = ["", *(f"{weight:.3f}" for weight in last.importance)]
    columns = {
        "base model": names,
        "support loss": _column([r.support_losses for r in history], blocks),
    }
    if last.query_losses:
        columns["query loss"] = _column([r.query_losses for r in history], blocks)
    if len(weights) > 1:
        columns["w_i"] = weights
    table = Table(*columns, box=None, pad_edge=False)
    for row in zip(*(cells[: len(names)] for cells in columns.values()), strict=True):
        table.add_row(*row)
    return table


def _column(values: Sequence[Sequence[float]], blocks: str) -> list[str]:
    """Curves, all on one scale, of the mean and of each model."""
    curves = np.array(values, dtype=float).T  # (models, epochs)
    finite = curves[np.isfinite(curves)]
    lowest, highest = (finite.min(), finite.max()) if len(finite) else (0.0, 0.0)
    return [
        f"{sparkline(curve, lowest, highest, blocks)} {_short(curve[0])} to {_short(curve[-1])}"
        for curve in (curves.mean(axis=0), *curves)
    ]


def _short(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"
