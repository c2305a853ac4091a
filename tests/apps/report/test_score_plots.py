"""What lies below the drawn curves is what the figures say."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from sklearn.metrics import average_precision_score, roc_auc_score

from ahl.apps.report.score_plots import draw_precision_recall, draw_roc

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
