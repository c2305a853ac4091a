"""Groups of images, the worst mistakes, and where scores go on a strip."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahl._common.types import Sample, ScoredSample
from ahl.apps.report.ranking import (
    group,
    line_of_normals,
    share,
    usable,
    worst_false_alarms,
    worst_misses,
)
from ahl.apps.report.strip import make_axis, short_number, swarm


def make(class_name, *scores, seen=False, path=Path("missing.png")):
    return [
        ScoredSample(
            sample=Sample(path=path, name=f"{class_name}/{number:03d}.png", class_name=class_name),
            score=float(score),
            seen=seen,
        )
        for number, score in enumerate(scores)
    ]


class TestRanking:
    def test_groups_come_normal_seen_unseen_then_best_first(self):
        scored = make("weak", 1) + make("good", 0, 2) + make("strong", 3) + make("x", 0, seen=True)
        groups = group(usable(scored))
        assert [one.name for one in groups] == ["good", "x", "strong", "weak"]
        assert [one.auroc for one in groups] == [None, 0.25, 1.0, 0.5]

    def test_misses_and_alarms_in_words(self):
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

    def test_ties_are_called_ties(self):
        scored = make("good", 1, 1, 0) + make("dent", 1)
        assert worst_misses(scored, 1)[0].standing == "equals 67 % of normal images"
        assert worst_false_alarms(scored, 1)[0].standing == "equals all anomalies"

    def test_nothing_to_compare_with(self):
        assert worst_misses(make("dent", 1), 1)[0].standing == ""

    @pytest.mark.parametrize(
        ("part", "whole", "words"),
        [(0, 9, "0 %"), (9, 9, "100 %"), (1, 999, "< 1 %"), (998, 999, "> 99 %"), (1, 8, "12 %")],
    )
    def test_share_never_rounds_to_none_or_all(self, part, whole, words):
        assert share(part, whole) == words

    @given(st.lists(st.integers(0, 5) | st.floats(-9, 9), min_size=1, max_size=60))
    def test_at_most_five_per_cent_of_normals_lie_above_the_line(self, scores):
        line = line_of_normals(make("good", *scores))
        assert sum(score > line for score in scores) <= 0.05 * len(scores)


class TestStrip:
    @given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=40))
    def test_the_axis_keeps_the_order_of_any_scores(self, scores):
        axis = make_axis(scores)
        places = axis.place(sorted(scores))
        assert ((places >= 0) & (places <= 1)).all()
        assert (np.diff(places) >= 0).all()
        ticks = axis.ticks()
        assert all(0 <= place <= 1 for place, _ in ticks)
        assert len(ticks) <= 20

    def test_far_scores_do_not_squash_the_rest(self):
        rng = np.random.default_rng(0)
        usual = rng.normal(size=500)
        assert not make_axis(usual).compressed
        axis = make_axis([*usual, 1e6, -3e40])
        assert axis.compressed
        assert np.ptp(axis.place(usual)) > 0.15
        labels = [label for _, label in axis.ticks()]
        assert len(labels) >= 4
        assert len(set(labels)) == len(labels)

    def test_ticks_are_round(self):
        assert [label for _, label in make_axis([0, 4]).ticks()] == ["0", "1", "2", "3", "4"]

    @given(
        st.lists(st.floats(0, 800), max_size=300),
        st.sampled_from([5.0, 8.0]),
        st.floats(20, 80),
    )
    def test_dots_stay_in_their_strip_and_apart_where_there_is_room(self, places, dot, room):
        offsets = swarm(np.array(places), dot, room)
        assert offsets.shape == (len(places),)
        assert (np.abs(offsets) + dot / 2 <= room / 2 + 1e-9).all()
        cells = np.floor(np.array(places) / dot)
        assert len(set(zip(cells, offsets, strict=True))) == len(places)

    @pytest.mark.parametrize(
        ("value", "words"),
        [(1234.0, "1230"), (0.5, "0.5"), (-0.0, "0"), (2e-9, "2e-09"), (3e12, "3e+12")],
    )
    def test_numbers_read_well(self, value, words):
        assert short_number(value) == words
