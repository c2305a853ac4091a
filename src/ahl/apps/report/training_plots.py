"""The report's plots of training: importance scores and losses of the base models over epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ahl._common.history import EpochRecord
from ahl._common.pages.axes import add_axes, add_legend
from ahl._common.pages.svg import LINES, MUTED, RULE, new_figure, to_svg

_DASHES: Final = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
_COLUMNS: Final = 4
_NAMED: Final = 24
"""Base models that the legend names; more are drawn all the same."""


def split_trainings(history: Sequence[EpochRecord]) -> list[list[EpochRecord]]:
    """Split a model's history into the first training and each adaptation after it.

    Args:
        history: in order; epochs are counted from 1 again in each training.

    Returns:
        the history of each, none of them empty.
    """
    trainings: list[list[EpochRecord]] = []
    for record in history:
        if not trainings or record.epoch <= trainings[-1][-1].epoch:
            trainings.append([])
        trainings[-1].append(record)
    return trainings


def draw_trainings(history: Sequence[EpochRecord]) -> list[tuple[str, str]]:
    """Draw importance and losses of the base models; the loss alone where there were none.

    Returns:
        caption, as HTML, and drawing of each plot; adaptations are drawn apart.
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
            drawn.append((caption, _draw(training, support, f"support-{number}", "support loss")))
    return drawn


def _draw(
    training: Sequence[EpochRecord],
    values: Sequence[tuple[float, ...]],
    name: str,
    label: str,
    *,
    same: bool = False,
) -> str:
    """A line over the epochs for each base model, and one where all would be the same."""
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
        add_legend(axes, _COLUMNS)
        last = ", ".join(f"D{i} {line[-1]:.4g}" for i, line in enumerate(lines, start=1))
        title = f"{label[0].upper()}{label[1:]} of {len(lines)} base models over the epochs"
        return to_svg(figure, name=name, title=title, description=f"In the last epoch: {last}")
