"""What is compared, and what is let through."""

import numpy as np
import pytest

from ahl._common.errors import ParityError
from ahl.apps.export.parity import Parity, compare, compare_labelled
from ahl.model.decision import decide
from ahl.scoring.scorer import HEADS, SCORE


def outputs(score):
    values = np.array([score], dtype=np.float32)
    return {SCORE: values, HEADS: values[:, None]}


def test_the_largest_difference_counts_relative_to_the_value_or_to_one():
    scores = iter([0.5, 10.0])
    expected = iter([0.4, 12.0])
    images = [np.zeros((8, 8, 3), np.uint8)] * 2
    found = compare(lambda _: outputs(next(expected)), lambda _: outputs(next(scores)), images)
    assert found.images == 2
    assert found.differences == pytest.approx({SCORE: 1 / 6, HEADS: 1 / 6}, rel=1e-6)


@pytest.mark.parametrize("difference", [2e-4, float("nan"), float("inf")])
def test_single_precision_must_agree(difference):
    Parity(images=1, differences={SCORE: 9e-5}).check("fp32")
    with pytest.raises(ParityError, match="score differs"):
        Parity(images=1, differences={SCORE: difference}).check("fp32")


def test_eight_bits_may_not_rank_worse():
    good = Parity(images=1, differences={SCORE: 0.05}, labelled=9, auroc=0.9, auroc_exported=0.896)
    good.check("int8")
    bad = Parity(images=1, differences={SCORE: 0.05}, labelled=9, auroc=0.9, auroc_exported=0.894)
    with pytest.raises(ParityError, match="ranks worse"):
        bad.check("int8")


def test_eight_bits_without_labels_are_refused():
    with pytest.raises(ParityError, match="--data"):
        Parity(images=1, differences={SCORE: 0.0}).check("int8")


def test_labelled_images_say_how_it_ranks_and_who_changed_sides():
    decision = decide(np.arange(20) / 20, 0.1)
    own, exported = [0.1, 0.85, 2.0, 3.0], [0.2, 0.95, 0.3, 3.0]
    found = compare_labelled(
        Parity(images=1, differences={SCORE: 0.0}),
        own,
        exported,
        [False, False, True, True],
        decision,
    )
    assert (found.auroc, found.auroc_exported, found.drop) == (1.0, 0.75, 0.25)
    assert found.other_side == 2
    assert found.labelled == 4
    assert found.differences[SCORE] == pytest.approx(0.85)
