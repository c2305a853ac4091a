"""Checks of state that is kept, psi's and the batch norm's, and versions that fail them."""

from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
from torch.func import functional_call

from ahl.config import Config, HeadConfig, ImportanceConfig, LearningConfig
from ahl.distributions.training_set import draw_batch
from ahl.heads import DRA
from ahl.heads.weights import HeadWeights
from ahl.learning import algorithm
from ahl.learning.collaboration import inner_loop, outer_step
from ahl.learning.importance import start_predictor
from learning.small_runs import run
from synthetic_features import LAYOUT, PRIOR, make_training_set

CPU = torch.device("cpu")
HEADS = HeadConfig(holistic_hidden=8, residual_bottleneck=3, residual_channels=5)
CONFIG = Config(
    heads=HEADS,
    learning=LearningConfig(
        episodes=True,
        epochs=3,
        rounds=1,
        inner_steps=3,
        batch_size=9,
        outer_rate=0.005,
        averaged_epochs=1,
    ),
)


def draw(made, draw_function=draw_batch, *, seed: int = 0):
    return draw_function(
        made[0],
        made[1].supports,
        batch_size=9,
        reference_normals=4,
        generator=torch.Generator().manual_seed(seed),
        device=CPU,
    )


def check_scoring_by_psi_repeats(predict_function: Callable[..., Any]) -> None:
    psi, state = start_predictor(4, ImportanceConfig(), torch.Generator().manual_seed(0))
    history = torch.randn(12, 5, 4, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    first = predict_function(psi, state.parameters, history)
    assert torch.allclose(predict_function(psi, state.parameters, history), first, atol=1e-6)
    torch.manual_seed(0)  # nor may it start from one fixed draw
    assert torch.allclose(
        predict_function(psi, state.parameters, history[3:]), first[3:], atol=1e-6
    )
    torch.manual_seed(0)
    backwards = predict_function(psi, state.parameters, history.flip(0))
    assert torch.allclose(backwards.flip(0), first, atol=1e-6)


def predict_from_random_states(psi, parameters, history):
    states = torch.randn(2, 4, len(history), psi.recurrent.hidden_size)
    with torch.no_grad():
        hidden, _ = functional_call(
            psi.recurrent,
            {n.removeprefix("recurrent."): v for n, v in parameters.items() if "recurrent" in n},
            (history, (states[0], states[1])),
        )
        connected = torch.relu(
            hidden[:, -1] @ parameters["connected.weight"].T + parameters["connected.bias"]
        )
        return connected @ parameters["output.weight"].T + parameters["output.bias"]


def predict_from_one_random_draw(psi, parameters, history):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return predict_from_random_states(psi, parameters, history)


def check_statistics_are_kept_and_used(detector_class: type[DRA]) -> None:
    detector = detector_class(HEADS, LAYOUT, PRIOR)
    parameters = detector.initial_parameters(torch.Generator().manual_seed(0))
    statistics = detector.initial_statistics()
    generator = torch.Generator().manual_seed(1)
    reference = tuple(5 * torch.ones(scale) for scale in LAYOUT.scales)

    def draw_maps(count):
        return tuple(torch.randn(count, *s, generator=generator) for s in LAYOUT.scales)

    # After many batches of one distribution, another hardly moves the statistics ...
    trail = []
    for _ in range(80):
        _, statistics = detector.forward(
            parameters, statistics, draw_maps(32), reference, training=True
        )
        trail.append(statistics["residual.norm.mean"])
    assert (trail[0] - trail[-1]).abs().max() > 1.0, "they must come from far away"
    assert (trail[-20] - trail[-1]).abs().max() < 0.2
    # ... and an image's score is that which they give it, whatever comes with it.
    maps = draw_maps(6)
    together, _ = detector.forward(parameters, statistics, maps, reference, training=False)
    alone, _ = detector.forward(
        parameters, statistics, tuple(m[:1] for m in maps), reference, training=False
    )
    assert torch.allclose(together["residual"][:1], alone["residual"], atol=1e-5)
    moved = {name: value + 1.0 for name, value in statistics.items()}
    other, _ = detector.forward(parameters, moved, maps, reference, training=False)
    assert (other["residual"] - together["residual"]).abs().min() > 1e-4


class FreshStatistics(DRA):  # type: ignore[misc]
    """A new batch norm at every call."""

    def forward(self, parameters, statistics, maps, references, *, training):
        fresh = self.initial_statistics()
        return super().forward(parameters, fresh, maps, references, training=training)


class BatchStatistics(DRA):  # type: ignore[misc]
    """The batch's own statistics, also when scoring."""

    def forward(self, parameters, statistics, maps, references, *, training):
        return super().forward(parameters, statistics, maps, references, training=True)


def check_epochs_hand_statistics_on(step: Callable[..., Any]) -> None:
    """Base models start from the unified model's statistics, which are those of the last epoch."""
    detector = DRA(HEADS, LAYOUT, PRIOR)
    made = make_training_set()
    at_start, after = [], []

    def recorded(detector, models, batches, *, rate):
        at_start.append({name: value[0].clone() for name, value in models.statistics.items()})
        result = inner_loop(detector, models, batches, rate=rate)
        after.append({name: value.mean(dim=0) for name, value in result[0].statistics.items()})
        return result

    with (
        mock.patch.object(algorithm, "inner_loop", recorded),
        mock.patch.object(algorithm, "outer_step", step),
    ):
        run(detector, CONFIG, made=made)
    for name, initial in detector.initial_statistics().items():
        assert torch.equal(at_start[0][name], initial)
        for ended, started in zip(after, at_start[1:], strict=False):
            # One query batch lies between: it moves them by a tenth.
            kept = (started[name] - initial).norm() / (ended[name] - initial).norm()
            assert kept > 0.5, name


def forget_statistics(unified, gradient, base, state, *, rate):
    stepped, state = outer_step(unified, gradient, base, state, rate=rate)
    return HeadWeights(stepped.parameters, DRA(HEADS, LAYOUT, PRIOR).initial_statistics()), state
