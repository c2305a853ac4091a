"""The epoch loop: when importance begins to count, and what it comes from."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from ahl._common.types import Kind
from ahl.config import paper
from ahl.heads import DRA, weights
from ahl.learning import algorithm
from ahl.learning.importance import ScorePredictor, importance_scores, predict
from learning.small_runs import CONFIG, HEADS, IMPORTANCE, run, with_learning
from synthetic_features import (
    LAYOUT,
    PRIOR,
    make_training_set,
    mean_reference,
)


@pytest.mark.parametrize(
    ("history", "first_epoch", "first_trained", "first_weighed"),
    [(2, 4, 2, 4), (3, 1, 1, 1), (1, 0, 1, 1), (5, 5, 5, 5), (5, 4, 4, 4)],
)
def test_importance_is_equal_until_its_first_epoch(
    history, first_epoch, first_trained, first_weighed
):
    importance = replace(IMPORTANCE, history=history, first_epoch=first_epoch)
    # Scores are measured, and psi trained, once an epoch however many rounds it has.
    config = replace(with_learning(epochs=7, rounds=2), importance=importance)
    _, recorder = run(DRA(HEADS, LAYOUT, PRIOR), config)
    for epoch, state in enumerate(recorder.states):
        weights = state.history[-1].importance
        assert sum(weights) == pytest.approx(1.0, abs=1e-6)
        equal = weights == pytest.approx([1 / 7] * 7, abs=1e-7)
        assert equal == (epoch < first_weighed), f"epoch {epoch}"
        trained_epochs = max(0, epoch + 1 - first_trained)
        assert float(state.predictor.optimiser.step) == importance.steps * trained_epochs
        assert len(state.past_scores) == min(epoch + 1, history)


def test_the_paper_preset_weighs_from_epoch_5_on_as_algorithm_1():
    config = paper()
    importance = replace(IMPORTANCE, history=5, first_epoch=config.importance.first_epoch)
    _, recorder = run(
        DRA(HEADS, LAYOUT, PRIOR), replace(with_learning(epochs=6), importance=importance)
    )
    differs = [
        state.epoch
        for state in recorder.states
        if state.history[-1].importance != pytest.approx([1 / 7] * 7, abs=1e-7)
    ]
    assert differs == [5, 6]
    assert config.importance.history == 5


@pytest.mark.parametrize(("error", "graded"), [("calibrated", True), ("paper", False)])
def test_in_the_paper_preset_all_distributions_teach(error, graded):
    """Scores as they are let one base model take most of the weight (docs/deviations.md)."""
    importance = paper().importance
    assert importance.error == "calibrated"
    config = replace(
        with_learning(epochs=7, inner_steps=20, inner_rate=0.01),
        importance=replace(importance, error=error),
    )
    _, recorder = run(DRA(paper().heads, LAYOUT, PRIOR), config)
    largest = max(max(state.history[-1].importance) for state in recorder.states)
    assert (largest < 2 / 7) == graded
    assert (largest > 0.5) != graded


def test_the_past_is_that_of_the_last_epochs_oldest_first():
    """Not of the first ones, which say nothing of what the models know by now."""
    importance = replace(IMPORTANCE, history=3)
    config = replace(with_learning(epochs=6), importance=importance)
    _, recorder = run(DRA(HEADS, LAYOUT, PRIOR), config)
    newest = [state.past_scores[-1] for state in recorder.states]
    for epoch, state in enumerate(recorder.states):
        expected = newest[max(0, epoch - 2) : epoch + 1]
        assert len(state.past_scores) == len(expected)
        assert all(torch.equal(a, b) for a, b in zip(state.past_scores, expected, strict=True))
    assert not any(torch.equal(a, b) for a, b in pairwise(newest))


def test_psi_learns_from_other_samples_every_epoch(monkeypatch):
    """Its batches are drawn by the epoch's number: the same draws would hide most samples."""
    firsts, weigh = [], algorithm.weigh

    def kept(*arguments, generator, **others):
        copy = torch.Generator()
        copy.set_state(generator.get_state())
        firsts.append(torch.randint(10**6, (4,), generator=copy).tolist())
        return weigh(*arguments, generator=generator, **others)

    monkeypatch.setattr(algorithm, "weigh", kept)
    for seed in (0, 1):
        run(DRA(HEADS, LAYOUT, PRIOR), with_learning(epochs=3), seed=seed)
    assert len(firsts) == len({tuple(one) for one in firsts}) == 6


def loop_importance(detector, training_set, distributions, before, after, config):
    """Eq. 6 and 7 for one epoch, from the state before it and psi after it."""
    low, high = detector.expected_scores
    past = torch.stack(before.past_scores, dim=1)
    if config.error == "calibrated":
        past = ((past - low) / (high - low)).clamp(0, 1)
    predicted = predict(ScorePredictor(7, config.hidden), after.predictor.parameters, past)
    errors = []
    for i, support in enumerate(distributions.supports):
        terms = []
        for j, kind in enumerate(training_set.kinds.tolist()):
            if j in support.normals:
                continue
            label = 0.0 if kind == Kind.NORMAL else 1.0
            weight = 1.0 if distributions.unseen[j, i] else 0.5
            terms.append(weight * (float(predicted[j, i]) - label) ** 2)
        errors.append(sum(terms) / len(terms))
    return importance_scores(torch.tensor(errors)).tolist()


@pytest.mark.parametrize("form", ["calibrated", "paper"])
def test_importance_comes_from_the_errors_of_predicted_scores(detector, form):
    importance = replace(IMPORTANCE, error=form)
    config = replace(CONFIG, importance=importance)
    training_set, distributions, _ = make_training_set()
    _, recorder = run(detector, config, made=(training_set, distributions, None))
    for before, after in zip(recorder.states[2:], recorder.states[3:], strict=False):
        expected = loop_importance(detector, training_set, distributions, before, after, importance)
        assert after.history[-1].importance == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_history_is_the_scores_of_the_adapted_base_models(detector, monkeypatch):
    adapted = []
    inner_loop = algorithm.inner_loop

    def kept(*arguments, **constants):
        adapted.append(inner_loop(*arguments, **constants))
        return adapted[-1]

    monkeypatch.setattr(algorithm, "inner_loop", kept)
    monkeypatch.setattr(weights, "SCORING_CHUNK", 10)  # the training set is larger
    training_set, distributions, _ = make_training_set()
    _, recorder = run(detector, with_learning(epochs=2), made=(training_set, distributions, None))
    reference = mean_reference(training_set)
    for (base, _), state in zip(adapted, recorder.states, strict=True):
        scores = state.past_scores[-1]
        assert scores.shape == (len(training_set), 7)
        assert len(training_set) > 20
        for i in range(7):
            parameters, statistics = (
                {name: value[i] for name, value in part.items()} for part in base
            )
            for j in range(0, len(training_set), 7):
                heads, _ = detector.forward(
                    parameters,
                    statistics,
                    training_set.features.maps(torch.tensor([j])),
                    reference,
                    training=False,
                )
                expected = float(detector.combine(heads)[0])
                assert float(scores[j, i]) == pytest.approx(expected, rel=1e-5, abs=1e-5)
