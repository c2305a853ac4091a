"""Classes in order, and mistakes with their place among the others."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from ahl._common.types import Sample, ScoredSample
from ahl.apps.report.counts import (
    best_hits,
    count,
    operating_points,
    share,
    worst_false_alarms,
    worst_misses,
)


def make(class_name, *scores, seen=False):
    return [
        ScoredSample(
            sample=Sample(
                path=Path("missing.png"), name=f"{class_name}/{number:03d}", class_name=class_name
            ),
            score=float(score),
            seen=seen,
        )
        for number, score in enumerate(scores)
    ]


def counted(scored, threshold=None):
    return count(SimpleNamespace(scored=scored, threshold=threshold))


def test_groups_come_normal_seen_unseen_then_best_first():
    scored = make("weak", 1) + make("good", 0, 2) + make("strong", 3) + make("x", 0, seen=True)
    rows = counted(scored).rows
    assert [row.name for row in rows] == ["good", "x", "strong", "weak"]
    assert [row.separation and row.separation.auroc for row in rows] == [None, 0.25, 1.0, 0.5]


def test_a_class_of_both_kinds_makes_two_rows_and_what_is_not_finite_none():
    scored = make("dent", 1, seen=True) + make("dent", 2) + make("oil", math.nan, math.inf)
    rows = counted(scored, threshold=1.5).rows
    assert [(row.name, row.kind, row.called.hits) for row in rows] == [
        ("dent", "seen", 0),
        ("dent", "unseen", 1),
    ]
    assert [row.separation for row in rows] == [None, None]


def test_misses_and_alarms_in_words():
    scored = make("good", *range(10)) + make("dent", 4.5, -1, 20)
    misses = worst_misses(scored, 5)
    assert [one.scored.score for one in misses] == [-1, 4.5, 20]
    assert [one.standing for one in misses] == [
        "below all normal images",
        "below 50 % of normal images",
        "above every normal image",
    ]
    alarms = worst_false_alarms(scored, 1)
    assert alarms[0].scored.score == 9
    assert alarms[0].standing == "above 67 % of anomalies"


def test_ties_are_called_ties():
    scored = make("good", 1, 1, 0) + make("dent", 1)
    assert worst_misses(scored, 1)[0].standing == "equals 67 % of normal images"
    assert worst_false_alarms(scored, 1)[0].standing == "equals all anomalies"


def test_nothing_to_compare_with():
    assert worst_misses(make("dent", 1), 1)[0].standing == ""


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [(0, 9, "0 %"), (9, 9, "100 %"), (1, 999, "< 1 %"), (998, 999, "> 99 %"), (1, 8, "12 %")],
)
def test_share_never_rounds_to_none_or_all(part, whole, words):
    assert share(part, whole) == words


def test_points_let_at_most_their_share_of_good_images_alarm():
    scored = make("good", *range(60)) + make("dent", 10, 52, 54.5, 57.5, 58.5, 59.5, 99, 99, 99, 99)
    points = operating_points(counted(scored))
    assert [(one.rate, one.threshold) for one in points] == [
        (0.01, 59.0),
        (0.02, 58.0),
        (0.05, 56.0),
        (0.1, 53.0),
    ]
    assert [one.alarms.hits for one in points] == [0, 1, 3, 6]
    assert [one.found.hits for one in points] == [5, 6, 7, 8]
    assert operating_points(counted(make("good", 1, 2))) == []
    (only,) = {one.threshold for one in operating_points(counted(make("good", 3) + make("x", 4)))}
    assert only == 3.0


def test_hits_are_the_highest_anomalies():
    scored = make("good", 0, 2) + make("dent", 1, 5, 3)
    assert [one.scored.score for one in best_hits(scored, 2)] == [5, 3]
    assert best_hits(scored, 1)[0].standing == "above every normal image"
