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

    A two-layer bidirectional LSTM, starting from zero states, whose last output (2 * hidden) goes
    through a fully connected layer of that width and a ReLU to T outputs.
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
        """Predict scores: past ones (N, K, T), oldest first, to (N, T)."""
        states, _ = self.recurrent(history)
        predicted: Tensor = self.output(torch.relu(self.connected(states[:, -1])))
        return predicted


class PredictorState(NamedTuple):
    """Weights of psi and the state of its optimiser."""

    parameters: Parameters
    optimiser: AdamState


def start_predictor(
    models: int, config: ImportanceConfig, generator: torch.Generator
) -> tuple[ScorePredictor, PredictorState]:
    """Build psi with weights from U(-1/sqrt(width), 1/sqrt(width)), as torch's default."""
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
    """Predict scores (N, T) from past scores (N, K, T), without gradients."""
    with torch.no_grad():
        predicted: Tensor = functional_call(predictor, parameters, (history,))
    return predicted


def prediction_loss(
    predictor: ScorePredictor, parameters: Parameters, history: Tensor, scores: Tensor
) -> Tensor:
    """Mean squared error of the predicted scores, which uses no labels (Eq. 5)."""
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
    """Train psi for one epoch on random batches of samples.

    Args:
        predictor: the architecture.
        state: weights and optimiser state before the epoch.
        history: (N, K, T) scores of the K epochs before this one.
        scores: (N, T) scores of this epoch.
        config: the constants.
        generator: source of the batches.
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
    """Map image scores linearly from the targets of normal and anomaly onto 0..1, clipped.

    The deviation loss does not penalise an anomaly above its margin, so Eq. 6 must not, either.
    """
    low, high = expected
    return ((scores - low) / (high - low)).clamp(0.0, 1.0)


def generalisation_errors(
    predicted: Tensor, labels: Tensor, judged: Tensor, unseen: Tensor, config: ImportanceConfig
) -> Tensor:
    """Generalisation error of each base model (Eq. 6).

    Args:
        predicted: (N, T) scores predicted by psi.
        labels: (N,) 0 for normal, 1 for labelled and pseudo anomalies.
        judged: (N, T) true if sample j is in D' of model i (not a normal of its support).
        unseen: (N, T) true if sample j is an anomaly that model i has not seen.
        config: the weights c_j.

    Returns:
        (T,) mean weighted squared errors r_i.
    """
    weights = torch.where(unseen, config.unseen_weight, config.seen_weight)
    errors = weights * (predicted - labels.unsqueeze(1)).square()
    counts = judged.sum(dim=0).clamp(min=1)
    return (errors * judged).sum(dim=0) / counts


def importance_scores(errors: Tensor) -> Tensor:
    """Importance scores (T,), the softmax of the negated errors (Eq. 7)."""
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
        distributions: the D_i, which base models have seen.
        expected: target image scores of a normal and of an anomaly.
        config: the constants.
        epoch: number of the epoch, from 0.
        generator: source of psi's batches.

    Returns:
        psi after the epoch, unchanged if it was not trained, and (T,) importance scores, equal in
        the first `config.first_epoch` epochs. Psi is trained once there are K past score vectors,
        or `config.first_epoch` if that is less.
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
