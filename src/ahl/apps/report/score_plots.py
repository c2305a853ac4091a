"""The report's plots as SVG: curves with bands, AUROCs with intervals, histograms by class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from ahl._common.pages.svg import (
    GROUND,
    INK,
    MUTED,
    NORMAL,
    OURS,
    RULE,
    SHADE,
    UNSEEN,
    add_axes,
    add_rows,
    label_row,
    new_figure,
    shortened,
    to_svg,
)
from ahl._common.text import counted, digits, printable
from ahl.apps.report.counts import ClassRow, Floats, Separation
from ahl.apps.report.curves import Curve, precision_recall_curve, roc_curve
from ahl.model.decision import Decision

Point = tuple[float, float]

_COLOURS: Final = {"normal": NORMAL, "seen": OURS, "unseen": UNSEEN}
_BINS: Final = 44
_ROW: Final = 0.62
"""Height in inches of a histogram and its heading."""

_SQUASHED: Final = 8.0
"""The axis of scores is compressed once it spans this many times their middle 90 %."""

_FURTHEST: Final = 6.0
"""End of a compressed axis: about 200 times the width of the middle 90 % from the median."""


def draw_roc(normals: Floats, seen: Floats, unseen: Floats, point: Point | None) -> str:
    """Draw the ROC curve with its band as SVG; seen and unseen classes apart if there are both.

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
        axes = _unit_axes(figure, height, curve)
        axes.plot([0, 1], [0, 1], color=RULE, linewidth=1, zorder=1)
        if len(seen) and len(unseen):
            for scores, name, colour, dash in (
                (seen, "seen classes", OURS, (0, (5, 2))),
                (unseen, "unseen classes", UNSEEN, (0, (1.5, 1.5))),
            ):
                part = roc_curve(normals, scores)
                style = {"color": colour, "linewidth": 1.4, "linestyle": dash, "label": name}
                axes.plot(part.x, part.y, **style)
        axes.plot(curve.x, curve.y, color=INK, linewidth=1.8, label="all anomalies")
        _finish(axes, point, "good images called anomalous", "anomalies found", "lower right")
        words = _in_words(curve, "false-alarm rate", "found")
        return to_svg(figure, name="roc", title="ROC curve", description=words)


def draw_precision_recall(normals: Floats, anomalies: Floats, point: Point | None) -> str:
    """Draw the precision-recall curve with its band as SVG.

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
        axes = _unit_axes(figure, height, curve)
        chance = len(anomalies) / (len(anomalies) + len(normals))
        axes.plot([0, 1], [chance, chance], color=RULE, linewidth=1, zorder=1)
        steps = np.append(0.0, curve.x), np.append(curve.y[0], curve.y)
        axes.plot(*steps, drawstyle="steps-pre", color=INK, linewidth=1.8, label="all anomalies")
        _finish(axes, point, "anomalies found (recall)", "precision", "lower left")
        words = _in_words(curve, "recall", "precision")
        return to_svg(figure, name="pr", title="Precision-recall curve", description=words)


def draw_separations(rows: Sequence[Separation]) -> str:
    """Draw the AUROCs of seen, unseen and all anomalies as SVG: dots with their intervals.

    Args:
        rows: at least one.
    """
    height = 0.42 * len(rows) + 0.75
    low = min(0.5, *(np.floor(row.low * 10) / 10 for row in rows))
    with new_figure(height) as figure:
        axes = add_rows(figure, height, len(rows), top=0.1, bottom=0.5)
        axes.set_xlim(low, 1.0)
        if low < 0.5:  # else its end is
            axes.axvline(0.5, color=MUTED, linewidth=0.8)
        for number, row in enumerate(rows):
            middle, colour = number + 0.75, _COLOURS.get(row.kind, INK)
            axes.plot([low, 1], [middle] * 2, color=RULE, linewidth=0.6, zorder=1)
            axes.plot([row.low, row.high], [middle] * 2, color=colour, linewidth=2.4, clip_on=False)
            axes.plot(
                row.auroc,
                middle,
                "D" if row.kind == "unseen" else "o",
                color=colour,
                markeredgecolor=GROUND,
                markersize=8,
                clip_on=False,
                zorder=4,
            )
            figures = f"{digits(row.auroc)}  [{row.low:.2f}, {row.high:.2f}]"
            label_row(axes, number + 0.5, f"{row.name} ({row.count:,})", figures)
        axes.set_xlabel("AUROC, and its 95 % interval", color=MUTED)
        words = "; ".join(
            f"{row.name}: {digits(row.auroc)}, interval {row.low:.2f} to {row.high:.2f}"
            for row in rows
        )
        title = "AUROC of seen and unseen anomalies"
        return to_svg(figure, name="separation", title=title, description=words)


def draw_histograms(rows: Sequence[ClassRow], decision: Decision | None) -> str:
    """Draw histograms of the scores of each class on one axis as SVG, with the threshold.

    Args:
        rows: the classes, at least one.
        decision: the model's; None without a threshold.
    """
    height = _ROW * len(rows) + 0.95
    marks = [] if decision is None else [decision.threshold]
    with new_figure(height) as figure:
        axes = add_rows(figure, height, len(rows), top=0.4, bottom=0.55)
        edges = score_axis(axes, np.concatenate([*(row.scores for row in rows), marks]))
        if decision is not None:
            _draw_threshold(axes, decision)
        for number, row in enumerate(rows):
            _draw_histogram(axes, number, row, edges)
        compressed = ", tails compressed" if axes.get_xscale() != "linear" else ""
        axes.set_xlabel(f"anomaly score{compressed}", color=MUTED)
        words = "; ".join(
            f"{row.name} ({row.kind}): {len(row.scores):,} images, "
            f"median {np.median(row.scores):.2f}"
            for row in rows
        )
        return to_svg(figure, name="scores", title="Scores by class", description=words)


def score_axis(axes: Any, scores: Floats) -> Floats:  # noqa: ANN401 - matplotlib is untyped
    """Set an x axis on which a few outlying scores do not squash all others into a line.

    It is linear, or compressed (an inverse hyperbolic sine around the median) where outliers would
    leave most of a linear one empty; scores beyond the end of a compressed one count at its end.

    Args:
        axes: whose x axis is set.
        scores: (n,), finite, at least one.

    Returns:
        (`_BINS` + 1,) edges of bins that look equally wide on it.
    """
    low, high = float(scores.min()), float(scores.max())
    near, centre, far = np.quantile(scores, (0.05, 0.5, 0.95))
    spread = far - near
    if not 0 < spread < (high - low) / _SQUASHED:
        margin = 0.03 * (high - low)
        if margin <= 1e-12 * max(abs(low), abs(high), 1e-300):
            margin = 0.5 * max(abs(low), 1.0)
        axes.set_xlim(low - margin, high + margin)
        axes.locator_params(axis="x", nbins=8, steps=[1, 2, 2.5, 5, 10])
        return np.linspace(low - margin, high + margin, _BINS + 1)

    def compress(values: Floats) -> Floats:
        return np.asarray(np.arcsinh((np.asarray(values) - centre) / spread))

    def expand(values: Floats) -> Floats:
        return np.asarray(np.sinh(values) * spread + centre)

    left, right = np.clip(compress(np.array([low, high])), -_FURTHEST, _FURTHEST)
    margin = 0.03 * (right - left)
    edges = expand(np.linspace(left - margin, right + margin, _BINS + 1))
    axes.set_xscale("function", functions=(compress, expand))
    axes.set_xlim(edges[0], edges[-1])
    # Rounded to what a reader needs to tell neighbours apart.
    ticks = [float(f"{value:.1e}") for value in expand(np.linspace(left, right, 7))]
    axes.set_xticks(np.unique(ticks), labels=[f"{tick:.5g}" for tick in np.unique(ticks)])
    return edges


def _draw_histogram(axes: Any, number: int, row: ClassRow, edges: Floats) -> None:  # noqa: ANN401
    counts, _ = np.histogram(np.clip(row.scores, edges[0], edges[-1]), bins=edges)
    base = number + 0.98
    axes.bar(
        edges[:-1],
        -0.58 * counts / counts.max(),
        width=np.diff(edges),
        bottom=base,
        align="edge",
        color=_COLOURS[row.kind],
        edgecolor=GROUND,
        linewidth=0.4,
        zorder=2,
    )
    axes.axhline(base, color=RULE, linewidth=0.8, zorder=3)
    name = shortened(printable(row.name), 30) + ("" if row.kind == "normal" else f", {row.kind}")
    images = counted(len(row.scores), "image")
    style = {"transform": axes.get_yaxis_transform(), "va": "bottom", "zorder": 5}
    ground = {"facecolor": GROUND, "edgecolor": "none", "alpha": 0.8, "pad": 0.6}
    axes.text(0, number + 0.36, name, color=INK, parse_math=False, bbox=ground, **style)
    axes.text(1, number + 0.36, images, color=MUTED, ha="right", **style)


def _draw_threshold(axes: Any, decision: Decision) -> None:  # noqa: ANN401
    left, right = axes.get_xlim()
    low = left if decision.surely_normal is None else decision.surely_normal
    high = right if decision.surely_anomalous is None else decision.surely_anomalous
    axes.axvspan(*np.clip([low, max(high, low)], left, right), color=SHADE, linewidth=0, zorder=0)
    place = np.clip(decision.threshold, left, right)
    axes.axvline(place, color=INK, linewidth=1.1, linestyle=(0, (4, 2)), zorder=4)
    words = f"dashed: threshold {decision.threshold:.2f}; on grey: too close to call"
    axes.text(0, 1.02, words, transform=axes.transAxes, va="bottom", color=INK)


def _unit_axes(figure: Any, height: float, curve: Curve) -> Any:  # noqa: ANN401
    axes = add_axes(figure, height, top=0.1, bottom=0.55, left=0.55)
    axes.set(xlim=(0, 1), ylim=(0, 1.005), xticks=np.linspace(0, 1, 6), yticks=np.linspace(0, 1, 6))
    axes.set_aspect("equal", adjustable="box", anchor="SW")
    axes.grid(color=RULE, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.fill(*curve.outline, color=SHADE, linewidth=0, zorder=0.5, label="95 % band")
    return axes


def _finish(axes: Any, point: Point | None, x: str, y: str, corner: str) -> None:  # noqa: ANN401
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
    ground = {"framealpha": 0.85, "facecolor": GROUND, "edgecolor": GROUND}
    axes.legend(loc=corner, labelcolor=INK, fontsize=7.5, **ground)


def _in_words(curve: Curve, x: str, y: str) -> str:
    """At most five points along a curve, in words."""
    places = np.unique(np.linspace(0, len(curve.x) - 1, 5).astype(int))
    return "; ".join(f"{x} {curve.x[i]:.2f}: {y} {curve.y[i]:.2f}" for i in places)
