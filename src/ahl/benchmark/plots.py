"""The report's plots: bars for each dataset, mean ranks, and sweeps over a setting."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, Final

from ahl._common.pages.svg import (
    GROUND,
    INK,
    LINES,
    MUTED,
    OTHER,
    OURS,
    PAPER,
    RULE,
    add_axes,
    add_legend,
    add_rows,
    label_row,
    new_figure,
    shortened,
    to_svg,
)
from ahl._common.text import digits
from ahl.benchmark.comparisons import Ranking, Sweep
from ahl.benchmark.summary import Column, Summary, rows_of
from ahl.benchmark.variants import Variant, number_of

if TYPE_CHECKING:
    import pandas as pd

_DASHES: Final = ("-", "--", "-.", ":")
_MARKERS: Final = "osD^vP"

_ROW: Final = 0.36
_LONGEST: Final = 33
"""Characters of a method's name that fit above its bar beside the figure."""


def draw_bars(summary: Summary, column: Column, name: str) -> str:
    """Draw a bar for each variant, its bootstrap interval, and a diamond for the paper's figure.

    Args:
        summary: the figures.
        column: the column to draw.
        name: prefix of the plot's ids, unique on the page.

    Returns:
        an SVG element.
    """
    table = summary.tables[column]
    lowest = float(table[["auroc", "low", "paper_auroc"]].min().min())
    # Bars start at chance, so that their lengths can be compared.
    left = min(0.5, math.floor(lowest * 10) / 10)
    height = _ROW * len(table) + 0.85
    with new_figure(height) as figure:
        axes = add_rows(figure, height, len(table), top=0.1, bottom=0.7)
        axes.set_xlim(left, 1.0)
        axes.axvline(0.5, color=MUTED, linewidth=0.8, zorder=3)
        for row, figures in enumerate(rows_of(table)):
            _draw_bar(axes, row, summary.variants[figures.Index], figures, left)
        shown = "bars from chance, lines: 95 % interval"
        if table["paper_auroc"].notna().any():
            shown += ", diamond: paper"
        axes.set_xlabel(f"AUROC\n({shown})", color=MUTED)
        words = "; ".join(
            f"{figures.Index} {digits(figures.auroc)}"
            + ("" if math.isnan(figures.paper_auroc) else f", paper {digits(figures.paper_auroc)}")
            for figures in rows_of(table)
        )
        title = f"AUROC of each method on {column.label}"
        return to_svg(figure, name=name, title=title, description=words)


def draw_ranks(ranking: Ranking, name: str) -> str:
    """Draw mean ranks, the best on top, and the critical difference as a bar from the best on."""
    count = len(ranking.ranks)
    height = _ROW * count + 1.05
    with new_figure(height) as figure:
        axes = add_rows(figure, height, count, top=0.4, bottom=0.6)
        best = ranking.ranks[0][1]
        end = best + (ranking.difference or 0.0)
        right = max(count + 0.2, end + 0.1)
        axes.set_xlim(0.8, right)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if ranking.difference is not None:
            axes.axvspan(best, end, color=RULE, alpha=0.45, linewidth=0)
            axes.plot(
                [best, end], [-0.25, -0.25], color=INK, linewidth=2.5, clip_on=False, marker="|"
            )
            label = f"critical difference {ranking.difference:.2f}"
            axes.text(best, -0.45, label, color=INK, va="bottom", clip_on=False)
        for row, (variant, rank) in enumerate(ranking.ranks):
            colour = OURS if variant.is_ahl else OTHER
            axes.plot([0.8, right], [row + 0.72] * 2, color=RULE, linewidth=0.6, zorder=1)
            axes.plot(rank, row + 0.72, "o", color=colour, markeredgecolor=INK, markersize=6)
            _label(axes, row, variant, f"{rank:.2f}")
        axes.set_xlabel("mean rank, 1 is best", color=MUTED)
        return to_svg(figure, name=name, title="Mean ranks", description=ranking.words)


def draw_sweep(sweep: Sweep, name: str) -> str:
    """Draw AUROC over the values of one config field: a line per dataset, with intervals.

    Values that are not numbers are drawn side by side without lines.
    """
    height = 2.6 + 0.18 * len(sweep.lines)
    with new_figure(height) as figure:
        axes = add_axes(figure, height, top=0.1, bottom=0.6 + 0.18 * len(sweep.lines), left=0.62)
        numbers = [number_of(value) for value in sweep.values]
        places = {
            value: number if sweep.numeric and number is not None else float(index)
            for index, (value, number) in enumerate(zip(sweep.values, numbers, strict=True))
        }
        words = []
        for index, (column, table) in enumerate(sweep.lines):
            _draw_line(axes, index, column, table, places, joined=sweep.numeric)
            figures = ", ".join(f"{v}: {digits(auroc)}" for v, auroc in table["auroc"].items())
            words.append(f"{column.dataset} {figures}")
        axes.set_xticks(list(places.values()))
        axes.set_xticklabels(
            [shortened(value, 14) for value in places], color=MUTED, parse_math=False
        )
        if not sweep.numeric:
            axes.set_xlim(-0.5, len(places) - 0.5)
        axes.grid(axis="y", color=RULE, linewidth=0.6)
        axes.set_xlabel(shortened(sweep.setting, 60), color=MUTED, parse_math=False)
        axes.set_ylabel("AUROC", color=MUTED)
        add_legend(axes)
        title = f"AUROC of {sweep.title} over {sweep.setting}, {sweep.lines[0][0].setting} setting"
        return to_svg(figure, name=name, title=title, description="; ".join(words))


def _draw_bar(axes: Any, row: int, variant: Variant, figures: Any, left: float) -> None:  # noqa: ANN401 - matplotlib is untyped
    middle = row + 0.72
    axes.barh(
        middle,
        figures.auroc - 0.5,
        left=0.5,
        height=0.42,
        color=OURS if variant.is_ahl else OTHER,
        hatch="////" if variant.sees_every_class else None,
        edgecolor=MUTED if variant.sees_every_class else "none",
        linewidth=0,
    )
    interval = ""
    if not math.isnan(figures.low):
        ends = [figures.low, figures.high]
        axes.plot(ends, [middle] * 2, color=GROUND, linewidth=3.2, zorder=3.5)  # off the bar
        axes.plot(ends, [middle] * 2, color=INK, linewidth=1.4, zorder=4)
        axes.plot(ends, [middle] * 2, "|", color=INK, markersize=6, zorder=4)
        interval = f"  [{digits(figures.low, 2)}, {digits(figures.high, 2)}]"
    if not math.isnan(figures.paper_auroc):
        axes.plot(
            max(figures.paper_auroc, left),
            middle,
            "D",
            color=PAPER,
            markeredgecolor=GROUND,
            markersize=6,
            zorder=5,
            clip_on=False,
        )
    _label(axes, row, variant, f"{digits(figures.auroc)}{interval}")


def _label(axes: Any, row: int, variant: Variant, figure: str) -> None:  # noqa: ANN401
    weight = "bold" if variant.is_ahl else "normal"
    label_row(axes, row + 0.46, shortened(variant.shown, _LONGEST), figure, weight)


def _draw_line(
    axes: Any,  # noqa: ANN401
    index: int,
    column: Column,
    table: pd.DataFrame,
    places: dict[str, float],
    *,
    joined: bool,
) -> None:
    colour = LINES[index % len(LINES)]
    means = table["auroc"]
    below = (means - table["low"]).clip(lower=0).fillna(0)
    above = (table["high"] - means).clip(lower=0).fillna(0)
    # Intervals of several datasets at one value would cover each other.
    spread = list(places.values())
    step = min(b - a for a, b in itertools.pairwise(spread)) if joined else 1.0
    shift = 0.05 * step * (index - 0.5)
    axes.errorbar(
        [places[value] + shift for value in means.index],
        means,
        yerr=[below, above],
        color=colour,
        linestyle=_DASHES[index % len(_DASHES)] if joined else "none",
        marker=_MARKERS[index % len(_MARKERS)],
        markersize=5,
        linewidth=1.4,
        elinewidth=0.8,
        capsize=2,
        label=shortened(column.dataset, _LONGEST).lstrip("_") or "dataset",
    )
