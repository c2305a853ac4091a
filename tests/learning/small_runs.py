"""Trainings of seconds on small features, and what is kept of them."""

import copy
from dataclasses import replace

import torch

from ahl.config import Config, HeadConfig, ImportanceConfig, LearningConfig
from ahl.learning.algorithm import algorithm_1, train_alone
from synthetic_features import (
    make_training_set,
    mean_reference,
)

CPU = torch.device("cpu")
HEADS = HeadConfig(holistic_hidden=8, residual_bottleneck=3, residual_channels=5)
LEARNING = LearningConfig(
    episodes=True,
    epochs=5,
    rounds=1,
    inner_steps=2,
    batch_size=9,
    inner_rate=2e-3,
    outer_rate=0.02,
    averaged_epochs=2,
)
IMPORTANCE = ImportanceConfig(history=2, first_epoch=3, steps=3)
CONFIG = Config(heads=HEADS, learning=LEARNING, importance=IMPORTANCE)


def with_learning(**constants):
    return replace(CONFIG, learning=replace(LEARNING, **constants))


class Recorder:
    """Keeps a copy of every state, as it was given."""

    def __init__(self):
        self.states, self.given = [], []

    def keep(self, state):
        self.given.append(state)
        self.states.append(copy.deepcopy(state))


def epochs(detector, config, data, distributions, **arguments):
    """The states of a training of the kind that the config asks for."""
    if config.learning.episodes:
        return algorithm_1(detector, data, distributions, mean_reference(data), config, **arguments)
    return train_alone(detector, data, mean_reference(data), config, **arguments)


def run(detector, config=CONFIG, *, seed=0, state=None, made=None):
    data, distributions, _ = made or make_training_set()
    recorder, final = Recorder(), state
    for final in epochs(detector, config, data, distributions, seed=seed, device=CPU, state=state):
        recorder.keep(final)
    return final, recorder


def tensors_of(state):
    """Every tensor of a state by a name."""
    found = {"step": state.optimiser.step, "psi step": state.predictor.optimiser.step}
    parts = {
        "parameters": state.unified.parameters,
        "statistics": state.unified.statistics,
        "first": state.optimiser.first,
        "second": state.optimiser.second,
        "psi": state.predictor.parameters,
        "psi first": state.predictor.optimiser.first,
        "psi second": state.predictor.optimiser.second,
        "past_scores": dict(enumerate(state.past_scores)),
        "average": state.average,
    }
    for part, tensors in parts.items():
        found |= {f"{part} {name}": value for name, value in tensors.items()}
    return found


def assert_same_bits(one, other):
    assert one.epoch == other.epoch
    assert one.history == other.history
    left, right = tensors_of(one), tensors_of(other)
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert torch.equal(value, right[name]), name


def numbers_of(maps, features):
    """Which training samples (N, C, H, W) maps are: rows are compared bit by bit."""
    everything = features.maps(torch.arange(len(features)))[0].flatten(1)
    equal = (maps.flatten(1)[:, None] == everything).all(dim=2)
    assert equal.any(dim=1).all(), "every sample of a batch must be a training sample"
    return set(equal.float().argmax(dim=1).tolist())
