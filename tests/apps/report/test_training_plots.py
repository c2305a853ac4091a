"""A training and the adaptations after it are drawn apart."""

import re

import pytest

from ahl._common.history import EpochRecord
from ahl.apps.report.training_plots import draw_trainings, split_trainings


def records(*epochs, query=()):
    return [
        EpochRecord(epoch=e, support_losses=(1.0, 2.0), query_losses=query, importance=(0.5, 0.5))
        for e in epochs
    ]


@pytest.mark.parametrize(
    ("epochs", "lengths"),
    [((), []), ((1,), [1]), ((1, 2, 1, 2, 3), [2, 3]), ((1, 1, 1, 2), [1, 1, 2]), ((5, 6), [2])],
)
def test_a_training_begins_where_epochs_do_not_go_on(epochs, lengths):
    assert [len(one) for one in split_trainings(records(*epochs))] == lengths


def test_an_adaptation_is_drawn_by_itself():
    drawn = draw_trainings([*records(1, 2, query=(1.0, 1.0)), *records(1, 2), *records(1)])
    captions = [caption for caption, _ in drawn]
    assert captions[3:] == ["Loss of the adaptation", "Loss of the adaptation 2"]
    assert len(captions) == 5
    ids = [one for _, drawing in drawn for one in re.findall(r'\bid="([^"]+)"', drawing)]
    assert len(set(ids)) == len(ids)
    assert [caption for caption, _ in draw_trainings(records(1, 2))] == ["Loss"]
    assert draw_trainings([]) == []
