"""Importance and losses of the base models over epochs: plots for pages, text for consoles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from rich.table import Table

from ahl._common.history import EpochRecord
from ahl._common.pages.svg import LINES, MUTED, RULE, add_axes, add_legend, new_figure, to_svg

_DASHES: Final = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
_COLUMNS: Final = 4
_NAMED: Final = 24
"""Most base models that the legend names; all are drawn."""


def split_trainings(history: Sequence[EpochRecord]) -> list[list[EpochRecord]]:
    """Split a model's history into the first training and each adaptation after it.

    Args:
        history: in order; epochs are counted from 1 again in each training.

    Returns:
        the history of each training, never empty.
    """
    trainings: list[list[EpochRecord]] = []
    for record in history:
        if not trainings or record.epoch <= trainings[-1][-1].epoch:
            trainings.append([])
        trainings[-1].append(record)
    return trainings


def draw_trainings(history: Sequence[EpochRecord]) -> list[tuple[str, str]]:
    """Draw importance and losses of the base models; without episodes, the loss alone.

    Returns:
        caption, as HTML, and drawing, as SVG, of each plot; adaptations have plots of their own.
    """
    drawn = []
    for number, training in enumerate(split_trainings(history)):
        support = [record.support_losses for record in training]
        if training[0].query_losses:
            query = [record.query_losses for record in training]
            importance = [record.importance for record in training]
            drawn += [
                (
                    "Importance scores w<sub>i</sub>",
                    _draw(training, importance, "importance", "importance w_i", same=True),
                ),
                ("Losses on the support sets", _draw(training, support, "support", "support loss")),
                ("Losses on the query sets", _draw(training, query, "query", "query loss")),
            ]
        else:
            caption = "Loss of the adaptation" if number else "Loss"
            caption += f" {number}" if number > 1 else ""
            drawn.append((caption, _draw(training, support, f"support-{number}", "loss")))
    return drawn


def _draw(
    training: Sequence[EpochRecord],
    values: Sequence[tuple[float, ...]],
    name: str,
    label: str,
    *,
    same: bool = False,
) -> str:
    """Draw a line over the epochs for each base model; `same` adds one at equal importance."""
    epochs = [record.epoch for record in training]
    lines = list(zip(*values, strict=False))
    rows = -(-min(len(lines), _NAMED) // _COLUMNS)
    height = 2.5 + 0.17 * rows
    with new_figure(height) as figure:
        axes = add_axes(figure, height, top=0.1, bottom=0.62 + 0.17 * rows, left=0.5)
        if same:
            axes.axhline(1 / len(lines), color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
        for index, line in enumerate(lines):
            axes.plot(
                epochs,
                line,
                color=LINES[index % len(LINES)],
                linestyle=_DASHES[index // len(LINES) % len(_DASHES)],
                linewidth=1.4,
                marker="o" if len(epochs) == 1 else "",
                markersize=4,
                label=f"D{index + 1}" if index < _NAMED else "_",
            )
        axes.grid(axis="y", color=RULE, linewidth=0.5)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("epoch", color=MUTED)
        title = f"{label[0].upper()}{label[1:]}"
        if len(lines) > 1:
            add_legend(axes, _COLUMNS)
            last = ", ".join(f"D{i} {line[-1]:.4g}" for i, line in enumerate(lines, start=1))
            title += f" of {len(lines)} base models over the epochs"
        else:
            last = f"{lines[0][-1]:.4g}"
            title += " over the epochs"
        return to_svg(figure, name=name, title=title, description=f"In the last epoch: {last}")


BLOCKS = "▁▂▃▄▅▆▇█"
ASCII_BLOCKS = "_.-~=+*#"
"""Blocks for consoles without Unicode."""

WIDTH = 12
"""Most characters of a curve."""


def sparkline(values: Sequence[float], lowest: float, highest: float, blocks: str = BLOCKS) -> str:
    """A curve in one line of characters.

    Args:
        values: at least one, in order; more than `WIDTH` are averaged in groups of neighbours.
        lowest: drawn as the first of the blocks.
        highest: drawn as the last of them.
        blocks: characters, from low to high. What is not a finite number becomes an x.
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
    support = _column([r.support_losses for r in history], blocks)
    if len(last.importance) == 1:
        names, columns = [""], {"loss": support}
    else:
        names = ["mean", *(str(number + 1) for number in range(len(last.importance)))]
        columns = {"base model": names, "support loss": support}
        if last.query_losses:
            columns["query loss"] = _column([r.query_losses for r in history], blocks)
        columns["w_i"] = ["", *(f"{weight:.3f}" for weight in last.importance)]
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
