"""psi and Eq. 5 to 7 against plain loops and torch's own LSTM."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ahl.config import ImportanceConfig
from ahl.learning.importance import (
    ScorePredictor,
    generalisation_errors,
    importance_scores,
    onto_labels,
    predict,
    prediction_loss,
    start_predictor,
    train_predictor,
)

MODELS, HISTORY, SAMPLES = 4, 5, 30


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def draw(*shape, seed=0):
    return torch.randn(shape, generator=seeded(seed))


def start(seed=0, models=MODELS, **constants):
    return start_predictor(models, ImportanceConfig(**constants), seeded(seed))


# --- psi -------------------------------------------------------------------------------------


def test_psi_is_two_bidirectional_layers_of_seven_a_layer_of_fourteen_and_the_outputs():
    psi, state = start()
    assert isinstance(psi.recurrent, nn.LSTM)
    assert psi.recurrent.num_layers == 2
    assert psi.recurrent.bidirectional
    assert psi.recurrent.hidden_size == 7
    assert psi.recurrent.input_size == MODELS
    assert (psi.connected.in_features, psi.connected.out_features) == (14, 14)
    assert (psi.output.in_features, psi.output.out_features) == (14, MODELS)
    recurrent = nn.LSTM(MODELS, 7, num_layers=2, bidirectional=True)
    names = {f"recurrent.{name}": p.shape for name, p in recurrent.named_parameters()}
    ours = {n: v.shape for n, v in state.parameters.items() if n.startswith("recurrent")}
    assert ours == names


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def loop_lstm(p, layer, suffix, sequence):
    """One direction of one layer, cell by cell: the outputs at each step, zero state first."""
    hidden = cell = np.zeros(p[f"recurrent.weight_hh_l{layer}{suffix}"].shape[1])
    outputs = []
    for x in sequence:
        gates = (
            p[f"recurrent.weight_ih_l{layer}{suffix}"] @ x
            + p[f"recurrent.bias_ih_l{layer}{suffix}"]
            + p[f"recurrent.weight_hh_l{layer}{suffix}"] @ hidden
            + p[f"recurrent.bias_hh_l{layer}{suffix}"]
        )
        enter, forget, new, leave = np.split(gates, 4)
        cell = sigmoid(forget) * cell + sigmoid(enter) * np.tanh(new)
        hidden = sigmoid(leave) * np.tanh(cell)
        outputs.append(hidden)
    return outputs


def loop_psi(parameters, history):
    p = {name: value.numpy().astype(np.float64) for name, value in parameters.items()}
    predicted = []
    for sequence in history.numpy().astype(np.float64):
        states = list(sequence)
        for layer in (0, 1):
            onward = loop_lstm(p, layer, "", states)
            backward = loop_lstm(p, layer, "_reverse", states[::-1])[::-1]
            states = [np.concatenate(pair) for pair in zip(onward, backward, strict=True)]
        connected = np.maximum(p["connected.weight"] @ states[-1] + p["connected.bias"], 0)
        predicted.append(p["output.weight"] @ connected + p["output.bias"])
    return np.array(predicted)


def test_predictions_are_those_of_the_loops():
    psi, state = start()
    history = draw(6, HISTORY, MODELS)
    np.testing.assert_allclose(
        predict(psi, state.parameters, history).numpy(),
        loop_psi(state.parameters, history),
        rtol=1e-5,
        atol=1e-5,
    )


def test_predictions_are_those_of_torchs_lstm_with_the_same_weights():
    psi, state = start()
    recurrent = nn.LSTM(MODELS, 7, num_layers=2, bidirectional=True, batch_first=True)
    recurrent.load_state_dict(
        {n.removeprefix("recurrent."): v for n, v in state.parameters.items() if "recurrent" in n}
    )
    history = draw(SAMPLES, HISTORY, MODELS)
    zeros = torch.zeros(4, SAMPLES, 7)
    with torch.no_grad():
        states, _ = recurrent(history, (zeros, zeros))
        connected = torch.relu(
            states[:, -1] @ state.parameters["connected.weight"].T
            + state.parameters["connected.bias"]
        )
        expected = connected @ state.parameters["output.weight"].T + state.parameters["output.bias"]
    torch.testing.assert_close(
        predict(psi, state.parameters, history), expected, rtol=1e-5, atol=1e-5
    )


def test_predicting_is_deterministic_and_each_sample_by_itself():
    psi, state = start()
    history = draw(SAMPLES, HISTORY, MODELS)
    torch.manual_seed(0)
    first = predict(psi, state.parameters, history)
    torch.manual_seed(1)
    assert torch.equal(predict(psi, state.parameters, history), first)
    other_psi, _ = start(seed=9)
    assert torch.equal(predict(other_psi, state.parameters, history), first)
    alone = torch.cat([predict(psi, state.parameters, history[j : j + 1]) for j in range(SAMPLES)])
    torch.testing.assert_close(alone, first, rtol=1e-5, atol=1e-6)
    assert not first.requires_grad


def test_psi_reads_the_whole_history():
    psi, state = start()
    history = draw(1, HISTORY, MODELS)
    usual = predict(psi, state.parameters, history)
    for k in range(HISTORY):
        for i in range(MODELS):
            changed = history.clone()
            changed[0, k, i] += 1.0
            assert (predict(psi, state.parameters, changed) - usual).abs().max() > 1e-6


def test_starting_weights_come_from_the_generator_alone():
    state = torch.get_rng_state()
    _, one = start(seed=3)
    assert torch.equal(torch.get_rng_state(), state), "the global generator was used"
    torch.manual_seed(99)
    _, same = start(seed=3)
    _, other = start(seed=4)
    for name, value in one.parameters.items():
        assert torch.equal(value, same.parameters[name])
        assert not torch.equal(value, other.parameters[name])
        bound = 7**-0.5 if name.startswith("recurrent") else 14**-0.5
        assert value.abs().max() <= bound
        assert not value.requires_grad
    largest = max(float(v.abs().max()) for n, v in one.parameters.items() if "recurrent" in n)
    assert largest > 0.95 * 7**-0.5


# --- Eq. 5 -----------------------------------------------------------------------------------


def test_prediction_loss_is_the_mean_squared_error():
    psi, state = start()
    history, scores = draw(6, HISTORY, MODELS), draw(6, MODELS, seed=1)
    predicted = loop_psi(state.parameters, history)
    expected = np.mean(
        [(predicted[j, i] - float(scores[j, i])) ** 2 for j in range(6) for i in range(MODELS)]
    )
    ours = prediction_loss(psi, state.parameters, history, scores)
    assert float(ours) == pytest.approx(expected, rel=1e-5)


def test_one_training_step_is_torchs_adam_on_the_drawn_batch():
    config = ImportanceConfig(steps=3, batch_size=8)
    psi, state = start_predictor(MODELS, config, seeded(0))
    history, scores = draw(SAMPLES, HISTORY, MODELS), draw(SAMPLES, MODELS, seed=1)
    theirs = ScorePredictor(MODELS, config.hidden)
    theirs.load_state_dict(state.parameters)
    optimiser = torch.optim.Adam(theirs.parameters(), lr=0.02)
    generator = seeded(5)
    for _ in range(3):
        chosen = torch.randint(SAMPLES, (8,), generator=generator)
        optimiser.zero_grad()
        nn.functional.mse_loss(theirs(history[chosen]), scores[chosen]).backward()
        optimiser.step()
    trained = train_predictor(psi, state, history, scores, config=config, generator=seeded(5))
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(trained.parameters[name], value, rtol=1e-4, atol=1e-5)
    assert float(trained.optimiser.step) == 3


def test_training_leaves_the_state_it_was_given():
    config = ImportanceConfig(steps=2)
    psi, state = start_predictor(MODELS, config, seeded(0))
    before = {name: value.clone() for name, value in state.parameters.items()}
    history, scores = draw(SAMPLES, HISTORY, MODELS), draw(SAMPLES, MODELS, seed=1)
    train_predictor(psi, state, history, scores, config=config, generator=seeded(5))
    assert all(torch.equal(state.parameters[name], before[name]) for name in before)
    assert not state.optimiser.step


def test_psi_learns_sequences_that_can_be_predicted():
    """Scores that go on as they went: half the samples rise, half fall, at their own pace."""
    config = ImportanceConfig(steps=20)
    psi, state = start_predictor(MODELS, config, seeded(0))
    level, pace = draw(60, 1, MODELS, seed=1), 0.3 * draw(60, 1, MODELS, seed=2)
    times = torch.arange(HISTORY + 1)[None, :, None]
    sequence = level + pace * times
    history, now = sequence[:, :-1], sequence[:, -1]
    trained, held_out = slice(0, 40), slice(40, 60)

    def error(state):
        predicted = predict(psi, state.parameters, history[held_out])
        return float((predicted - now[held_out]).square().mean())

    untrained = error(state)
    for epoch in range(15):
        state = train_predictor(
            psi,
            state,
            history[trained],
            now[trained],
            config=config,
            generator=seeded(epoch),
        )
    spread = float(now[held_out].var())
    assert error(state) < 0.3 * min(untrained, spread)


# --- Eq. 6 and 7 -----------------------------------------------------------------------------


def loop_errors(predicted, labels, judged, unseen, seen_weight, unseen_weight):
    errors = []
    for i in range(predicted.shape[1]):
        terms = []
        for j in range(predicted.shape[0]):
            if judged[j, i]:
                weight = unseen_weight if unseen[j, i] else seen_weight
                terms.append(weight * (float(predicted[j, i]) - float(labels[j])) ** 2)
        errors.append(sum(terms) / len(terms) if terms else 0.0)
    return np.array(errors)


@pytest.mark.parametrize(("seen_weight", "unseen_weight"), [(0.5, 1.0), (0.25, 3.0)])
def test_generalisation_errors_are_those_of_the_loops(seen_weight, unseen_weight):
    predicted = 2.0 * draw(SAMPLES, MODELS)
    labels = (torch.arange(SAMPLES) % 3 > 0).float()
    judged = torch.rand(SAMPLES, MODELS, generator=seeded(2)) > 0.3
    unseen = (torch.rand(SAMPLES, MODELS, generator=seeded(3)) > 0.5) & (labels > 0)[:, None]
    config = ImportanceConfig(seen_weight=seen_weight, unseen_weight=unseen_weight)
    ours = generalisation_errors(predicted, labels, judged, unseen, config)
    expected = loop_errors(predicted, labels, judged, unseen, seen_weight, unseen_weight)
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-5)


def test_what_is_not_judged_does_not_count():
    predicted, labels = draw(SAMPLES, MODELS), torch.zeros(SAMPLES)
    judged = torch.ones(SAMPLES, MODELS, dtype=torch.bool)
    judged[7, 2] = False
    unseen = torch.zeros_like(judged)
    wild = predicted.clone()
    wild[7, 2] = 1e6
    config = ImportanceConfig()
    one = generalisation_errors(predicted, labels, judged, unseen, config)
    other = generalisation_errors(wild, labels, judged, unseen, config)
    assert torch.equal(one, other)
    nothing = generalisation_errors(predicted, labels, ~unseen & False, unseen, config)
    assert torch.equal(nothing, torch.zeros(MODELS))


@given(st.lists(st.floats(0, 20, width=32), min_size=1, max_size=9))
def test_importance_is_the_softmax_of_the_negated_errors(errors):
    ours = importance_scores(torch.tensor(errors))
    exponentials = [np.exp(-(error - min(errors))) for error in errors]
    expected = np.array(exponentials) / sum(exponentials)
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-4, atol=1e-6)
    assert float(ours.sum()) == pytest.approx(1.0, abs=1e-5)


def test_the_model_with_the_smaller_error_weighs_more():
    weights = importance_scores(torch.tensor([0.3, 0.1, 0.2]))
    assert weights.argsort().tolist() == [0, 2, 1]


@given(st.lists(st.floats(-50, 50, width=32), min_size=1), st.floats(-5, 5), st.floats(0.1, 9))
def test_calibration_maps_expected_scores_onto_labels(scores, low, width):
    expected = [min(1.0, max(0.0, (score - low) / width)) for score in scores]
    ours = onto_labels(torch.tensor(scores), (low, low + width))
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-4)
