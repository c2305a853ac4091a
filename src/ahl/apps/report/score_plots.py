"""The report's plots of scores: curves with their bands, histograms by class, seen and unseen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ahl._common.pages.axes import add_axes, shortened
from ahl._common.pages.svg import (
    GROUND,
    INK,
    MUTED,
    NORMAL,
    OURS,
    RULE,
    SHADE,
    UNSEEN,
    new_figure,
    to_svg,
)
from ahl._common.text import printable
from ahl.apps.report.curves import Curve, precision_recall_curve, roc_curve
from ahl.apps.report.ranking import Group
from ahl.apps.report.strip import Axis, make_axis
from ahl.model.decision import Decision

Floats = NDArray[np.float64]

_KINDS: Final = {"normal": NORMAL, "seen": OURS, "unseen": UNSEEN}
_BINS: Final = 44
_ROW: Final = 0.62
"""Inches of a histogram, its heading above it."""


@dataclass(frozen=True, kw_only=True)
class Separation:
    """How well some anomalies stand out from the good images.

    Attributes:
        name: which anomalies.
        kind: `"seen"`, `"unseen"` or `"all"`.
        auroc: in [0, 1].
        low: lower end of its 95 % interval.
        high: upper end.
        count: how many anomalies.
    """

    name: str
    kind: str
    auroc: float
    low: float
    high: float
    count: int


def draw_roc(
    normals: Floats, seen: Floats, unseen: Floats, point: tuple[float, float] | None
) -> str:
    """The ROC curve with its band; seen and unseen classes apart where there are both.

    Straight between its points: where scores tie, their order is left to chance, so that the area
    below is the AUROC.

    Args:
        normals: (N,) scores, at least one.
        seen: (S,) scores of anomalies of classes seen in training.
        unseen: (U,) of the others; with the seen ones at least one.
        point: false-alarm rate and recall at the threshold; None without one.
    """
    curve = roc_curve(normals, np.concatenate([seen, unseen]))
    height = 3.75
    with new_figure(height) as figure:
        axes = _unit_axes(figure, height)
        axes.plot([0, 1], [0, 1], color=RULE, linewidth=1, zorder=1)
        _draw_band(axes, curve)
        if len(seen) and len(unseen):
            for scores, name, colour, dash in (
                (seen, "seen classes", OURS, (0, (5, 2))),
                (unseen, "unseen classes", UNSEEN, (0, (1.5, 1.5))),
            ):
                part = roc_curve(normals, scores)
                axes.plot(
                    part.x,
                    part.y,
                    color=colour,
                    linewidth=1.4,
                    linestyle=dash,
                    label=name,
                )
        axes.plot(curve.x, curve.y, color=INK, linewidth=1.8, label="all anomalies")
        _finish(axes, point, "good images called anomalous", "anomalies found", "lower right")
        words = _points_in_words(curve, "false-alarm rate", "found")
        return to_svg(figure, name="roc", title="ROC curve", description=words)


def draw_precision_recall(
    normals: Floats, anomalies: Floats, point: tuple[float, float] | None
) -> str:
    """The precision-recall curve with its band.

    In steps: between its points precision does not move in a straight line (Davis and Goadrich,
    2006), and the area below the steps is the average precision.

    Args:
        normals: (N,) scores, at least one.
        anomalies: (M,) scores, at least one.
        point: recall and precision at the threshold; None without one, or if nothing lies above.
    """
    curve = precision_recall_curve(normals, anomalies)
    height = 3.75
    with new_figure(height) as figure:
        axes = _unit_axes(figure, height)
        chance = len(anomalies) / (len(anomalies) + len(normals))
        axes.plot([0, 1], [chance, chance], color=RULE, linewidth=1, zorder=1)
        _draw_band(axes, curve)
        steps = np.append(0.0, curve.x), np.append(curve.y[0], curve.y)
        axes.plot(*steps, drawstyle="steps-pre", color=INK, linewidth=1.8, label="all anomalies")
        _finish(axes, point, "anomalies found (recall)", "precision", "lower left")
        words = _points_in_words(curve, "recall", "precision")
        return to_svg(figure, name="pr", title="Precision-recall curve", description=words)


def draw_separations(rows: Sequence[Separation]) -> str:
    """AUROC of seen, unseen and all anomalies, as dots with their intervals.

    Args:
        rows: at least one.
    """
    height = 0.42 * len(rows) + 0.75
    low = min(0.5, *(np.floor(row.low * 10) / 10 for row in rows))
    with new_figure(height) as figure:
        axes = add_axes(figure, height, top=0.1, bottom=0.5)
        axes.set(xlim=(low, 1.0), ylim=(len(rows), 0), yticks=[])
        axes.spines["left"].set_visible(False)
        if low < 0.5:  # else its end is
            axes.axvline(0.5, color=MUTED, linewidth=0.8)
        place = axes.get_yaxis_transform()
        for number, row in enumerate(rows):
            middle, colour = number + 0.75, _KINDS.get(row.kind, INK)
            axes.plot([low, 1], [middle] * 2, color=RULE, linewidth=0.6, zorder=1)
            axes.plot([row.low, row.high], [middle] * 2, color=colour, linewidth=2.4, clip_on=False)
            marker = "D" if row.kind == "unseen" else "o"
            axes.plot(
                row.auroc,
                middle,
                marker,
                color=colour,
                markeredgecolor=GROUND,
                markersize=8,
                clip_on=False,
                zorder=4,
            )
            style = {"transform": place, "va": "bottom", "clip_on": False, "color": INK}
            axes.text(0, number + 0.5, f"{row.name} ({row.count:,})", **style)
            figures = f"{row.auroc:.3f}  [{row.low:.2f}, {row.high:.2f}]"
            axes.text(1, number + 0.5, figures, ha="right", **style)
        axes.set_xlabel("AUROC, and its 95 % interval", color=MUTED)
        words = "; ".join(
            f"{row.name}: {row.auroc:.3f}, interval {row.low:.2f} to {row.high:.2f}" for row in rows
        )
        title = "AUROC of seen and unseen anomalies"
        return to_svg(figure, name="separation", title=title, description=words)


def draw_histograms(groups: Sequence[Group], decision: Decision | None) -> str:
    """The scores of each class on one axis, with the threshold.

    Args:
        groups: from `ahl.apps.report.ranking.group`, at least one.
        decision: the model's; None without a threshold.
    """
    height = _ROW * len(groups) + 0.95
    scores = [np.array([one.score for one in group.samples]) for group in groups]
    marks = [] if decision is None else [decision.threshold]
    axis = make_axis(np.concatenate([*scores, marks]))
    with new_figure(height) as figure:
        axes = add_axes(figure, height, top=0.4, bottom=0.55)
        axes.set(xlim=(0, 1), ylim=(len(groups), 0), yticks=[])
        axes.spines["left"].set_visible(False)
        if decision is not None:
            _draw_threshold(axes, axis, decision)
        for row, (group, values) in enumerate(zip(groups, scores, strict=True)):
            _draw_histogram(axes, row, group, axis.place(values))
        ticks = axis.ticks()
        axes.set_xticks([place for place, _ in ticks])
        axes.set_xticklabels([label for _, label in ticks], color=MUTED)
        scale = "anomaly score, far ends compressed" if axis.compressed else "anomaly score"
        axes.set_xlabel(scale, color=MUTED)
        words = "; ".join(
            f"{group.name} ({group.kind}): {len(values):,} images, median {np.median(values):.2f}"
            for group, values in zip(groups, scores, strict=True)
        )
        return to_svg(figure, name="scores", title="Scores by class", description=words)


def _draw_histogram(axes: Any, row: int, group: Group, places: Floats) -> None:  # noqa: ANN401 - matplotlib is untyped
    counts, edges = np.histogram(places, bins=_BINS, range=(0, 1))
    heights = 0.58 * counts / counts.max()
    axes.bar(
        edges[:-1],
        -heights,
        width=1 / _BINS,
        bottom=row + 0.98,
        align="edge",
        color=_KINDS[group.kind],
        edgecolor=GROUND,
        linewidth=0.4,
        zorder=2,
    )
    axes.plot([0, 1], [row + 0.98] * 2, color=RULE, linewidth=0.8, zorder=3)
    name = shortened(printable(group.name), 30)
    kind = "" if group.kind == "normal" else f", {group.kind}"
    style = {"va": "bottom", "clip_on": False, "zorder": 5}
    ground = {"facecolor": GROUND, "edgecolor": "none", "alpha": 0.8, "pad": 0.6}
    axes.text(0, row + 0.36, f"{name}{kind}", color=INK, parse_math=False, bbox=ground, **style)
    images = f"{len(places):,} image{'' if len(places) == 1 else 's'}"
    axes.text(1, row + 0.36, images, color=MUTED, ha="right", **style)


def _draw_threshold(axes: Any, axis: Axis, decision: Decision) -> None:  # noqa: ANN401
    place = float(axis.place(decision.threshold))
    low = 0.0 if decision.surely_normal is None else float(axis.place(decision.surely_normal))
    high = (
        1.0 if decision.surely_anomalous is None else float(axis.place(decision.surely_anomalous))
    )
    axes.axvspan(low, max(high, low), color=SHADE, linewidth=0, zorder=0)
    axes.axvline(place, color=INK, linewidth=1.1, linestyle=(0, (4, 2)), zorder=4)
    axes.text(
        0,
        1.02,
        f"dashed: threshold {decision.threshold:.2f}; on grey: too close to call",
        transform=axes.transAxes,
        va="bottom",
        color=INK,
        clip_on=False,
    )


def _unit_axes(figure: Any, height: float) -> Any:  # noqa: ANN401
    axes = add_axes(figure, height, top=0.1, bottom=0.55, left=0.55)
    axes.set(xlim=(0, 1), ylim=(0, 1.005), xticks=np.linspace(0, 1, 6), yticks=np.linspace(0, 1, 6))
    axes.set_aspect("equal", adjustable="box", anchor="SW")
    axes.grid(color=RULE, linewidth=0.5)
    axes.set_axisbelow(True)
    return axes


def _draw_band(axes: Any, curve: Curve) -> None:  # noqa: ANN401
    axes.fill(*curve.outline, color=SHADE, linewidth=0, zorder=0.5, label="95 % band")


def _finish(
    axes: Any,  # noqa: ANN401
    point: tuple[float, float] | None,
    x: str,
    y: str,
    corner: str,
) -> None:
    if point is not None:
        axes.plot(
            *point,
            "o",
            color=GROUND,
            markeredgecolor=INK,
            markeredgewidth=1.6,
            markersize=7,
            label="at the threshold",
            clip_on=False,
            zorder=6,
        )
    axes.set_xlabel(x, color=MUTED)
    axes.set_ylabel(y, color=MUTED)
    axes.legend(
        loc=corner,
        frameon=True,
        framealpha=0.85,
        facecolor=GROUND,
        edgecolor=GROUND,
        labelcolor=INK,
        fontsize=7.5,
    )


def _points_in_words(curve: Curve, x: str, y: str) -> str:
    """Five points along a curve."""
    places = np.unique(np.linspace(0, len(curve.x) - 1, 5).astype(int))
    return "; ".join(f"{x} {curve.x[i]:.2f}: {y} {curve.y[i]:.2f}" for i in places)
