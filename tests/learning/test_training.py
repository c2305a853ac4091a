"""The epoch loop on small features: repeatable, resumable; which weights it ends with."""

import copy

import numpy as np
import pytest
import torch

from ahl.features.table import FeatureTable
from ahl.heads import DRA
from learning.small_runs import (
    HEADS,
    LEARNING,
    assert_same_bits,
    run,
    with_learning,
)
from synthetic_features import (
    LAYOUT,
    PRIOR,
)

VARIANTS = {
    "usual": {},
    "rounds": {"rounds": 2, "query_batches": 2},
    "second order": {"second_order": True, "rounds": 2},
    "alone": {"episodes": False},
}


@pytest.fixture(scope="module", params=VARIANTS)
def config(request):
    return with_learning(**VARIANTS[request.param])


@pytest.fixture(scope="module")
def whole_run(detector, config):
    """One run from start to end: its final state, and what its hooks were given."""
    torch.manual_seed(0)
    return run(detector, config)


def test_the_same_seed_gives_the_same_bits(detector, config, whole_run):
    torch.manual_seed(1)
    again, _ = run(detector, config)
    assert_same_bits(again, whole_run[0])


def test_another_seed_gives_another_model(detector):
    one, other = (run(detector, with_learning(epochs=1), seed=seed)[0] for seed in (0, 1))
    for name, value in one.unified.parameters.items():
        assert not torch.equal(value, other.unified.parameters[name])


def test_a_run_resumed_from_any_epoch_ends_with_the_same_bits(detector, config, whole_run):
    whole, recorder = whole_run
    assert [state.epoch for state in recorder.states] == list(range(1, LEARNING.epochs + 1))
    for state in recorder.states:
        before = copy.deepcopy(state)
        resumed, later = run(detector, config, state=state)
        assert_same_bits(resumed, whole)
        assert_same_bits(state, before)
        # What had been done before is not done again.
        assert [one.epoch for one in later.states] == [
            one.epoch for one in recorder.states[state.epoch :]
        ]


def test_states_that_were_given_are_not_changed_afterwards(whole_run):
    _, recorder = whole_run
    for given, then in zip(recorder.given, recorder.states, strict=True):
        assert_same_bits(given, then)


def test_training_from_disk_and_from_memory_gives_the_same_bits(detector, monkeypatch):
    from_memory, _ = run(detector)
    monkeypatch.setattr(FeatureTable, "keep_resident", lambda _: None)
    from_disk, _ = run(detector)
    assert_same_bits(from_disk, from_memory)


def test_every_epoch_leaves_a_record(config, whole_run):
    final, recorder = whole_run
    assert [state.history[-1].epoch for state in recorder.states] == [1, 2, 3, 4, 5]
    assert final.history == [state.history[-1] for state in recorder.states]
    for record in final.history:
        models = 7 if config.learning.episodes else 1
        assert len(record.support_losses) == len(record.importance) == models
        assert len(record.query_losses) == (models if config.learning.episodes else 0)
        losses = np.array(record.support_losses + record.query_losses)
        assert np.isfinite(losses).all()
        assert (losses >= 0).all()


def test_final_statistics_are_those_of_the_final_weights():
    """Whatever they were before the last epoch has been forgotten, and weights do not move."""
    detector = DRA(HEADS, LAYOUT, PRIOR)
    config = with_learning(epochs=2)
    whole, recorder = run(detector, config)
    last_epoch, _ = run(detector, with_learning(epochs=1))
    for name, value in last_epoch.unified.statistics.items():
        assert not torch.equal(recorder.states[0].unified.statistics[name], value), "only at last"
    poisoned = recorder.states[0]
    for name in poisoned.unified.statistics:
        poisoned.unified.statistics[name] += 100.0
    other, _ = run(detector, config, state=poisoned)
    for name, value in whole.unified.parameters.items():
        assert torch.equal(other.unified.parameters[name], value)
    for name, value in whole.unified.statistics.items():
        assert torch.equal(other.unified.statistics[name], value)


@pytest.mark.parametrize("averaged", [1, 2, 4, 100])
def test_the_result_is_the_mean_of_the_last_epochs(detector, averaged):
    """The epochs themselves are the same whatever is averaged."""
    config = with_learning(epochs=4, averaged_epochs=averaged)
    final, recorder = run(detector, config)
    plain, other = run(detector, with_learning(epochs=4, averaged_epochs=1))
    weights = [state.unified.parameters for state in other.states]
    for name, value in final.unified.parameters.items():
        expected = torch.stack([one[name] for one in weights[-averaged:]]).double().mean(dim=0)
        torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-6)
    assert len(recorder.states) == 4
    assert final.average == {}
    for one, same in zip(recorder.states[:-1], other.states[:-1], strict=True):
        for name, value in one.unified.parameters.items():
            assert torch.equal(value, same.unified.parameters[name])
    assert plain.history == final.history
