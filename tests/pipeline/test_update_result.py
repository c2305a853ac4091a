"""What makes an update worse than the model before, and what it mends."""

import pytest

from pipeline.judging import judged


@pytest.mark.parametrize(
    ("after", "worsens", "mended"),
    [
        ([0.0, 0.0, 2.0, 2.0, 2.0], False, 1),
        ([0.0, 0.0, 2.0, 2.0, 0.5], False, 0),
        ([0.0, 1.5, 2.0, 2.0, 2.0], True, 1),
        ([0.0, 0.0, 2.0, 0.5, 2.0], True, 1),
    ],
)
@pytest.mark.parametrize("limit", [1.0, None])
def test_worse_is_more_wrong_of_either_kind(after, worsens, mended, limit):
    before = [0.0, 0.0, 2.0, 2.0, 0.0]
    found = judged(None, before, after, (limit, limit))
    if limit is not None:
        assert (found.worsens, found.mended) == (worsens, mended)
    else:
        assert not found.worsens, "their order is as good as before"
        assert judged(None, before, [3.0, 0.0, 2.0, 2.0, 2.0], (None, None)).worsens


def test_a_threshold_keeps_its_rate_not_its_place():
    before, after = [0.0, 0.0, 2.0, 2.0, 0.0], [0.0, 1.5, 2.0, 2.0, 2.0]
    assert judged(None, before, after, allowed=0.49).worsens
    assert not judged(None, before, after, allowed=0.5).worsens
    assert judged(None, before, [0.0, 0.0, 2.0, 0.5, 2.0], allowed=0.5).worsens, "a defect is lost"


def test_a_tie_of_an_anomaly_and_a_normal_is_in_the_wrong_order():
    """Without a limit the order counts: what cannot be told apart has not been found."""
    before = [0.0, 1.0, 2.0, 2.0, 0.0]
    assert judged(None, before, [0.0, 2.0, 2.0, 3.0, 0.0], (None, None)).worsens
    assert not judged(None, before, [0.0, 1.9, 2.0, 3.0, 0.0], (None, None)).worsens


def test_only_corrected_images_are_mended():
    found = judged(None, [0.0, 0.0, 2.0, 2.0, 0.0], [0.0, 0.0, 2.0, 2.0, 1.0])
    assert found.mended == 0, "at the limit, not above it"
    assert found.right_after.tolist() == [True] * 4 + [False]
    assert not found.worsens


def test_the_rule_that_refuses_is_named_with_its_counts():
    before = [0.0, 0.0, 2.0, 2.0, 0.0]
    assert judged(None, before, before).refusals == []
    assert judged(None, before, [0.0, 0.0, 2.0, 0.5, 2.0]).refusals == [
        "known defects called normal: 0 before, 1 after of 2"
    ]
    assert judged(None, before, [1.5, 1.5, 0.5, 2.0, 2.0], allowed=0.5).refusals == [
        "known defects called normal: 0 before, 1 after of 2",
        "known good images called anomalous: 0 before, 2 after of 2, where 1 are allowed",
    ]
    assert judged(None, before, [3.0, 0.0, 2.0, 2.0, 2.0], (None, None)).refusals == [
        "pairs of a good image and a defect in the wrong order: 0 before, 2 after"
    ]
