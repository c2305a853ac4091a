"""Importance scores of the base models by sequence modelling: section 3.4, Eq. 5 to 7."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad

from ahl.config import ImportanceConfig
from ahl.distributions.training_set import Distributions
from ahl.heads.base import Parameters
from ahl.learning.adam import AdamState, adam_start, adam_step


class ScorePredictor(nn.Module):
    """psi: predicts the T base models' scores of a sample from its last K score vectors.

    Two-layer bidirectional LSTM, whose last output (2 * hidden) goes through one fully
    connected layer of that width and a ReLU to T outputs. The LSTM starts from zero states.
    """

    def __init__(self, models: int, hidden: int) -> None:
        super().__init__()
        # Layers draw weights, here unused, from torch's global generator: leave that as it was.
        with torch.random.fork_rng(devices=[]):
            self.recurrent = nn.LSTM(
                models, hidden, num_layers=2, bidirectional=True, batch_first=True
            )
            self.connected = nn.Linear(2 * hidden, 2 * hidden)
            self.output = nn.Linear(2 * hidden, models)

    def forward(self, history: Tensor) -> Tensor:
        """(N, K, T) past scores, oldest first, to (N, T) predicted scores."""
        states, _ = self.recurrent(history)
        predicted: Tensor = self.output(torch.relu(self.connected(states[:, -1])))
        return predicted


class PredictorState(NamedTuple):
    """Weights of psi and its optimiser's moments."""

    parameters: Parameters
    optimiser: AdamState


def start_predictor(
    models: int, config: ImportanceConfig, generator: torch.Generator
) -> tuple[ScorePredictor, PredictorState]:
    """Build psi with weights from U(-1/sqrt(width), 1/sqrt(width)), torch's own default."""
    predictor = ScorePredictor(models, config.hidden)
    parameters = {}
    for name, value in predictor.named_parameters():
        width = config.hidden if name.startswith("recurrent") else 2 * config.hidden
        bound = width**-0.5
        parameters[name] = torch.empty_like(value, requires_grad=False).uniform_(
            -bound, bound, generator=generator
        )
    return predictor, PredictorState(parameters, adam_start(parameters))


def predict(predictor: ScorePredictor, parameters: Parameters, history: Tensor) -> Tensor:
    """Predicted scores (N, T) from past scores (N, K, T), without gradients."""
    with torch.no_grad():
        predicted: Tensor = functional_call(predictor, parameters, (history,))
    return predicted


def prediction_loss(
    predictor: ScorePredictor, parameters: Parameters, history: Tensor, scores: Tensor
) -> Tensor:
    """Eq. 5: mean squared error of the predicted scores; no label enters it."""
    predicted: Tensor = functional_call(predictor, parameters, (history,))
    return (predicted - scores).square().mean()


def train_predictor(
    predictor: ScorePredictor,
    state: PredictorState,
    history: Tensor,
    scores: Tensor,
    *,
    config: ImportanceConfig,
    generator: torch.Generator,
) -> PredictorState:
    """Take this epoch's steps of psi on random batches of samples.

    Args:
        predictor: the architecture.
        state: weights and moments before the epoch.
        history: (N, K, T) scores of the K epochs before this one.
        scores: (N, T) scores of this epoch.
        config: the constants.
        generator: draws the batches.
    """
    gradient = grad(lambda parameters, h, s: prediction_loss(predictor, parameters, h, s))
    for _ in range(config.steps):
        chosen = torch.randint(
            len(scores), (min(config.batch_size, len(scores)),), generator=generator
        )
        gradients = gradient(state.parameters, history[chosen], scores[chosen])
        state = PredictorState(
            *adam_step(state.parameters, gradients, state.optimiser, rate=config.rate)
        )
    return state


def onto_labels(scores: Tensor, expected: tuple[float, float]) -> Tensor:
    """Map image scores onto 0 (the score asked of a normal) .. 1 (of an anomaly), clipped.

    The deviation loss does not punish an anomaly above its margin, so neither must Eq. 6.
    """
    low, high = expected
    return ((scores - low) / (high - low)).clamp(0.0, 1.0)


def generalisation_errors(
    predicted: Tensor, labels: Tensor, judged: Tensor, unseen: Tensor, config: ImportanceConfig
) -> Tensor:
    """Eq. 6: how badly each base model scores what it was not trained on.

    Args:
        predicted: (N, T) scores predicted by psi.
        labels: (N,) 0 for normal, 1 for labelled and pseudo anomalies.
        judged: (N, T) true where sample j is in D' of model i (not a normal of its support).
        unseen: (N, T) true where sample j is an anomaly that model i has not seen.
        config: the weights c_j.

    Returns:
        (T,) mean weighted squared errors r_i.
    """
    weights = torch.where(unseen, config.unseen_weight, config.seen_weight)
    errors = weights * (predicted - labels.unsqueeze(1)).square()
    counts = judged.sum(dim=0).clamp(min=1)
    return (errors * judged).sum(dim=0) / counts


def importance_scores(errors: Tensor) -> Tensor:
    """Eq. 7: (T,) softmax of the negated errors."""
    return torch.softmax(-errors, dim=0)


def weigh(
    state: PredictorState,
    history: Sequence[Tensor],
    scores: Tensor,
    labels: Tensor,
    distributions: Distributions,
    expected: tuple[float, float],
    config: ImportanceConfig,
    *,
    epoch: int,
    generator: torch.Generator,
) -> tuple[PredictorState, Tensor]:
    """Train psi on this epoch's scores and turn its predictions into importance scores.

    Args:
        state: psi before the epoch.
        history: (N, T) scores of the epochs before this one, oldest first.
        scores: (N, T) scores of this epoch.
        labels: (N,) 0 for normal, 1 for labelled and pseudo anomalies.
        distributions: D_i: what each base model has seen.
        expected: the image scores that training asks for, of a normal and of an anomaly.
        config: the constants.
        epoch: counted from 0.
        generator: draws psi's batches.

    Returns:
        psi after the epoch (as it was, if nothing is predicted), and (T,) importance scores: equal
        before the first epoch that weighs. Psi learns from K past scores on, or as many as that
        epoch has.
    """
    models = scores.shape[1]
    equal = torch.full((models,), 1 / models)
    fewest = max(1, min(config.history, config.first_epoch))
    if config.source == "equal" or len(history) < fewest:
        return state, equal
    past, judged = torch.stack(list(history), dim=1), scores
    if config.error == "calibrated":
        past, judged = onto_labels(past, expected), onto_labels(judged, expected)
    if config.source == "psi":
        psi = ScorePredictor(models, config.hidden)
        state = train_predictor(psi, state, past, judged, config=config, generator=generator)
        judged = predict(psi, state.parameters, past)
    if epoch < config.first_epoch:
        return state, equal
    errors = generalisation_errors(
        judged, labels, distributions.judged, distributions.unseen, config
    )
    return state, importance_scores(errors)
