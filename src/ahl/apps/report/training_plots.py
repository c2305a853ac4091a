"""The report's plots of training: importance scores and losses of the base models over epochs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from ahl._common.history import EpochRecord
from ahl._common.pages.axes import add_axes
from ahl._common.pages.svg import INK, LINES, MUTED, RULE, new_figure, to_svg

_DASHES: Final = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
_COLUMNS: Final = 4
_NAMED: Final = 24
"""Base models that the legend names; more are drawn all the same."""


def draw_importance(history: Sequence[EpochRecord]) -> str:
    """Importance scores w_i of the base models over the epochs.

    Args:
        history: of one training with base models, at least one.
    """
    return _draw(
        history,
        lambda record: record.importance,
        name="importance",
        label="importance w_i",
        equal=1 / len(history[0].importance),
    )


def draw_support_losses(history: Sequence[EpochRecord], *, name: str = "support") -> str:
    """Losses of the base models on their support sets.

    Args:
        history: of one training, at least one.
        name: tells the plot from those of other trainings on the same page.
    """
    return _draw(history, lambda record: record.support_losses, name=name, label="support loss")


def draw_query_losses(history: Sequence[EpochRecord]) -> str:
    """Losses of the adapted base models on their query sets; the argument as for importance."""
    return _draw(history, lambda record: record.query_losses, name="query", label="query loss")


def _draw(
    history: Sequence[EpochRecord],
    read: Callable[[EpochRecord], tuple[float, ...]],
    *,
    name: str,
    label: str,
    equal: float | None = None,
) -> str:
    epochs = [record.epoch for record in history]
    lines = list(zip(*map(read, history), strict=False))
    rows = -(-min(len(lines), _NAMED) // _COLUMNS)
    height = 2.5 + 0.17 * rows
    with new_figure(height) as figure:
        axes = add_axes(figure, height, top=0.1, bottom=0.62 + 0.17 * rows, left=0.5)
        if equal is not None:
            axes.axhline(equal, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
        for index, values in enumerate(lines):
            axes.plot(
                epochs,
                values,
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
        _legend(axes)
        last = ", ".join(f"D{i} {values[-1]:.4g}" for i, values in enumerate(lines, start=1))
        title = f"{label[0].upper()}{label[1:]} of {len(lines)} base models over the epochs"
        return to_svg(figure, name=name, title=title, description=f"In the last epoch: {last}")


def _legend(axes: Any) -> None:  # noqa: ANN401 - matplotlib is untyped
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(0, -0.24),
        ncols=_COLUMNS,
        frameon=False,
        borderaxespad=0,
        labelcolor=INK,
        handlelength=2.2,
    )
