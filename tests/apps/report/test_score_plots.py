"""What lies below the drawn curves is what the figures say, and axes fit any scores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from sklearn.metrics import average_precision_score, roc_auc_score

from ahl._common.pages.svg import add_axes, new_figure
from ahl.apps.report.score_plots import draw_precision_recall, draw_roc, score_axis

NORMALS = np.array([0.0, 1.0, 1.0, 2.0, 3.0, 5.0])
ANOMALIES = np.array([1.0, 1.0, 3.0, 4.0, 6.0])
LABELS = np.repeat([0, 1], [len(NORMALS), len(ANOMALIES)])
SCORES = np.concatenate([NORMALS, ANOMALIES])


@pytest.fixture
def drawn(monkeypatch):
    """Every line that was plotted, by its label."""
    lines, original = {}, Axes.plot

    def listen(self, *given, **options):
        (line,) = original(self, *given, **options)
        lines[line.get_label()] = line
        return [line]

    monkeypatch.setattr(Axes, "plot", listen)
    return lines


def area(line):
    path = line.get_path()  # steps are made of it only when it is drawn
    x, y = path.vertices.T
    if line.get_drawstyle() == "steps-pre":
        return float((np.diff(x) * y[1:]).sum())
    assert line.get_drawstyle() == "default"
    return float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum())


def test_below_the_roc_curve_lies_the_auroc_ties_and_all(drawn):
    draw_roc(NORMALS, ANOMALIES[:2], ANOMALIES[2:], None)
    assert area(drawn["all anomalies"]) == pytest.approx(roc_auc_score(LABELS, SCORES))
    seen = np.concatenate([NORMALS, ANOMALIES[:2]])
    assert area(drawn["seen classes"]) == pytest.approx(roc_auc_score(LABELS[: len(seen)], seen))


def test_below_the_precision_recall_curve_lies_the_average_precision(drawn):
    draw_precision_recall(NORMALS, ANOMALIES, None)
    expected = average_precision_score(LABELS, SCORES)
    assert area(drawn["all anomalies"]) == pytest.approx(expected)


def on_axis(scores):
    """Places in [0, 1], edges of the bins, tick labels and kind of the axis of the scores."""
    with new_figure(2.0) as figure:
        axes = add_axes(figure, 2.0, top=0.1, bottom=0.5)
        edges = score_axis(axes, np.asarray(scores, dtype=float))
        points = np.stack([np.asarray(scores, dtype=float), np.zeros(len(scores))], axis=1)
        places = axes.transAxes.inverted().transform(axes.transData.transform(points))[:, 0]
        low, high = axes.get_xlim()
        labels = [
            label.get_text()
            for place, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
            if low <= place <= high
        ]
        return places, edges, labels, axes.get_xscale()


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=40))
def test_the_axis_keeps_the_order_of_any_scores(scores):
    places, edges, labels, scale = on_axis(sorted(scores))
    assert (np.diff(places) >= -1e-9).all()
    assert (np.diff(edges) >= 0).all()
    assert edges[0] < edges[-1]
    if scale == "linear":
        assert ((places >= 0) & (places <= 1)).all()
    assert len(labels) <= 20


def test_far_scores_do_not_squash_the_rest():
    usual = np.random.default_rng(0).normal(size=500)
    assert on_axis(usual)[3] == "linear"
    places, _, labels, scale = on_axis([*usual, 1e6, -3e40])
    assert scale != "linear"
    assert np.ptp(places[:500]) > 0.15
    assert len(labels) >= 4
    assert len(set(labels)) == len(labels)


def test_ticks_are_round():
    assert on_axis([0, 4])[2] == ["0", "1", "2", "3", "4"]
