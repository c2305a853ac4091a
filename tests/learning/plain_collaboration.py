"""Inner and outer steps as plain loops: over models, over batches, over parameters."""

import torch

from ahl.config import HeadConfig
from ahl.distributions.training_set import Batch
from ahl.features.maps import FeatureLayout
from ahl.heads import DRA, DevNet
from ahl.heads.losses import Prior
from ahl.heads.weights import HeadWeights

LAYOUT = FeatureLayout(((5, 4, 4), (5, 2, 2)))
PRIOR = Prior(mean=0.05, deviation=1.1)
MODELS, SUPPORTS, QUERIES, SAMPLES = 3, 4, 2, 9
INNER_RATE, OUTER_RATE = 0.01, 0.005
IMPORTANCE = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)

DETECTORS = {
    "devnet": DevNet(HeadConfig(), LAYOUT, PRIOR),
    "dra": DRA(
        HeadConfig(holistic_hidden=6, residual_bottleneck=3, residual_channels=4), LAYOUT, PRIOR
    ),
    "dra as published": DRA(
        HeadConfig(holistic_hidden=6, residual_bottleneck=0, residual_channels=0), LAYOUT, PRIOR
    ),
}


# --- inputs ----------------------------------------------------------------------------------


def double(tensors):
    return {name: value.double() for name, value in tensors.items()}


def start(detector, seed=0, dtype=torch.float64):
    """A unified model away from special starting values."""
    generator = torch.Generator().manual_seed(seed)
    parameters = {
        name: (value + 0.1 * torch.randn(value.shape, generator=generator)).to(dtype)
        for name, value in detector.initial_parameters(generator).items()
    }
    return HeadWeights(
        parameters, {k: v.to(dtype) for k, v in detector.initial_statistics().items()}
    )


def draw_batches(count, seed, dtype=torch.float64):
    """Batches with a leading axis of models, each model with its own samples."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    return [
        Batch(
            maps=tuple(0.7 + draw(MODELS, SAMPLES, *scale) for scale in LAYOUT.scales),
            references=tuple(0.7 + draw(MODELS, *scale) for scale in LAYOUT.scales),
            kinds=torch.stack([torch.randperm(SAMPLES, generator=generator) % 3] * MODELS),
        )
        for _ in range(count)
    ]


def batch_of(batch, i):
    """Model i's part of a batch."""
    return Batch(
        tuple(m[i] for m in batch.maps), tuple(r[i] for r in batch.references), batch.kinds[i]
    )


def together(parameters):
    """All parameters in one vector; a single bias may stand still, where signs cancel."""
    return torch.cat([value.flatten() for _, value in sorted(parameters.items())])


def model_of(models, i):
    return HeadWeights(*({name: value[i] for name, value in part.items()} for part in models))


def assert_close(ours, expected, tolerance=1e-9):
    assert ours.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            ours[name], value, rtol=tolerance, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )


# --- plain reference code --------------------------------------------------------------------


def safe_root(value):
    """Square root whose derivative at 0 is 0 and not infinite: a parameter without gradient."""
    return torch.where(value == 0, value, torch.where(value == 0, 1.0, value).sqrt())


class LoopAdam:
    """Adam as its authors wrote it down, one parameter after another."""

    def __init__(self, rate):
        self.rate, self.time, self.first, self.second = rate, 0, {}, {}

    def step(self, parameters, gradients):
        self.time += 1
        updated = {}
        for name, value in parameters.items():
            g = gradients[name]
            self.first[name] = 0.9 * self.first.get(name, 0.0) + 0.1 * g
            self.second[name] = 0.999 * self.second.get(name, 0.0) + 0.001 * g * g
            mean = self.first[name] / (1 - 0.9**self.time)
            square = self.second[name] / (1 - 0.999**self.time)
            updated[name] = value - self.rate * mean / (safe_root(square) + 1e-8)
        return updated


def loop_loss(detector, parameters, statistics, batch):
    scores, statistics = detector.forward(
        parameters, statistics, batch.maps, batch.references, training=True
    )
    return detector.loss(scores, batch.kinds), statistics


def loop_adapt(detector, parameters, statistics, batches, *, create_graph=False):
    """One base model's inner steps by torch.autograd."""
    adam, losses = LoopAdam(INNER_RATE), []
    for batch in batches:
        if not create_graph:
            parameters = {k: v.detach().requires_grad_() for k, v in parameters.items()}
        loss, statistics = loop_loss(detector, parameters, statistics, batch)
        gradients = torch.autograd.grad(loss, list(parameters.values()), create_graph=create_graph)
        parameters = adam.step(parameters, dict(zip(parameters, gradients, strict=True)))
        losses.append(float(loss.detach()))
    return parameters, statistics, sum(losses) / len(losses)


def loop_first_order(detector, unified, supports, queries, importance):
    """Eq. 4's gradient at each base model's adapted weights, and the mean statistics after it."""
    total = {name: torch.zeros_like(value) for name, value in unified.parameters.items()}
    statistics_of_all, losses = [], []
    for i in range(MODELS):
        parameters, statistics, _ = loop_adapt(
            detector, unified.parameters, unified.statistics, [batch_of(b, i) for b in supports]
        )
        leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
        loss_of_all = 0.0
        for batch in queries:
            loss, statistics = loop_loss(detector, leaves, statistics, batch_of(batch, i))
            loss_of_all = loss_of_all + loss / len(queries)
        gradients = torch.autograd.grad(loss_of_all, list(leaves.values()))
        for name, gradient in zip(leaves, gradients, strict=True):
            total[name] += importance[i] * gradient
        statistics_of_all.append(statistics)
        losses.append(float(loss_of_all.detach()))
    return total, mean_of(statistics_of_all), losses


def loop_second_order(detector, unified, supports, queries, importance):
    """Eq. 4's gradient through the unrolled inner steps."""
    leaves = {name: v.clone().requires_grad_() for name, v in unified.parameters.items()}
    objective, statistics_of_all, losses = 0.0, [], []
    for i in range(MODELS):
        parameters, statistics, _ = loop_adapt(
            detector,
            leaves,
            unified.statistics,
            [batch_of(b, i) for b in supports],
            create_graph=True,
        )
        for batch in queries:
            loss, statistics = loop_loss(detector, parameters, statistics, batch_of(batch, i))
            objective = objective + importance[i] * loss / len(queries)
            losses.append(float(loss.detach()))
        statistics_of_all.append(statistics)
    gradients = torch.autograd.grad(objective, list(leaves.values()))
    by_model = [sum(losses[QUERIES * i : QUERIES * (i + 1)]) / QUERIES for i in range(MODELS)]
    return dict(zip(leaves, gradients, strict=True)), mean_of(statistics_of_all), by_model


def mean_of(dictionaries):
    return {
        name: sum(d[name].detach() for d in dictionaries) / len(dictionaries)
        for name in dictionaries[0]
    }
