"""Axes of the plots on our pages, in the house's looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ahl._common.pages.svg import INK, MUTED, RULE, WIDTH

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def add_axes(figure: Figure, height: float, *, top: float, bottom: float, left: float = 0.1) -> Any:  # noqa: ANN401 - matplotlib is untyped
    """Axes with margins in inches.

    Args:
        figure: from `new_figure`.
        height: of the figure, in inches.
        top: margin.
        bottom: margin.
        left: margin.
    """
    width = WIDTH - left - 0.2
    axes: Any = figure.add_axes(
        (left / WIDTH, bottom / height, width / WIDTH, (height - top - bottom) / height)
    )
    axes.patch.set_alpha(0.0)
    axes.tick_params(colors=MUTED, length=3)
    for spine in axes.spines.values():
        spine.set_color(RULE)
    return axes


def add_rows(figure: Figure, height: float, rows: int, *, top: float, bottom: float) -> Any:  # noqa: ANN401
    """Axes of so many rows, one below another, from 0 on top; the arguments are as above."""
    axes = add_axes(figure, height, top=top, bottom=bottom)
    axes.set(ylim=(rows, 0), yticks=[])
    axes.spines["left"].set_visible(False)
    return axes


def label_row(axes: Any, place: float, name: str, figure: str, weight: str = "normal") -> None:  # noqa: ANN401
    """Write a row's name at the left and its figure at the right, both above `place`."""
    style = {"color": INK, "va": "bottom", "fontweight": weight, "parse_math": False}
    across = axes.get_yaxis_transform()
    axes.text(0, place, name, transform=across, **style)
    axes.text(1, place, figure, transform=across, ha="right", **style)


def add_legend(axes: Any, columns: int = 1) -> None:  # noqa: ANN401 - matplotlib is untyped
    """A legend below the axes, its names taken as they are."""
    legend = axes.legend(
        loc="upper left",
        bbox_to_anchor=(0, -0.24),
        ncols=columns,
        frameon=False,
        borderaxespad=0,
        labelcolor=INK,
        handlelength=2.2,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def shortened(text: str, longest: int) -> str:
    """The text, its middle left out where it has more than `longest` letters."""
    if len(text) <= longest:
        return text
    tail = longest // 2
    return f"{text[: longest - tail - 1]}…{text[-tail:]}"
