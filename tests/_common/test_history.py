"""Records of epochs, to JSON values and back."""

import json
from dataclasses import asdict

import pytest

from ahl._common.history import EpochRecord, read_history
from ahl._common.schema import read_values

RECORD = EpochRecord(epoch=3, support_losses=(0.5, 1.25), query_losses=(), importance=(0.25, 0.75))
VALUES = asdict(RECORD)


def test_a_record_survives_json():
    assert read_values(json.loads(json.dumps(VALUES)), EpochRecord) == RECORD


def test_whole_numbers_become_floats():
    losses = read_values({**VALUES, "support_losses": [1, 2]}, EpochRecord).support_losses
    assert [type(loss) for loss in losses] == [float, float]


@pytest.mark.parametrize("missing", VALUES)
def test_every_value_is_needed(missing):
    with pytest.raises(ValueError, match=missing):
        read_values({name: VALUES[name] for name in VALUES if name != missing}, EpochRecord)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epoch": "x"},
        {"epoch": None},
        {"epoch": 0},
        {"importance": None},
        {"importance": [1.0]},
        {"query_losses": ["high"]},
        {"query_losses": [1.0]},
        {"support_losses": [float("nan"), 1.0]},
    ],
    ids=str,
)
def test_values_that_cannot_be_are_refused(wrong):
    with pytest.raises((TypeError, ValueError)):
        read_values({**VALUES, **wrong}, EpochRecord)


def test_the_number_of_models_changes_only_where_another_training_begins():
    alone = {"epoch": 1, "support_losses": [1.0], "query_losses": [], "importance": [1.0]}
    assert len(read_history([VALUES, {**VALUES, "epoch": 4}, alone])) == 3
    with pytest.raises(ValueError, match="different number of base models"):
        read_history([VALUES, {**alone, "epoch": 4}])


def test_means_are_of_all_base_models():
    assert RECORD.mean_losses == {"support": 0.875}
    two = EpochRecord(
        epoch=1, support_losses=(1.0, 2.0), query_losses=(3.0, 5.0), importance=(1, 0)
    )
    assert two.mean_losses == {"support": 1.5, "query": 4.0}
