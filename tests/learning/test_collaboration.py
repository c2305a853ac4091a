"""Inner and outer steps against plain loops: over models, over batches, over parameters."""

import pytest
import torch

from ahl.config import HeadConfig
from ahl.detectors import DRA, DevNet
from ahl.detectors.losses import Prior
from ahl.detectors.weights import HeadWeights, replicate
from ahl.distributions.training_set import Batch
from ahl.feature_maps import FeatureLayout
from ahl.learning.adam import adam_start
from ahl.learning.collaboration import (
    adapt,
    batch_loss,
    first_order_gradient,
    inner_step,
    outer_step,
    second_order_gradient,
)

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


@pytest.fixture(params=DETECTORS)
def detector(request):
    return DETECTORS[request.param]


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


# --- inner steps: Eq. 1 ----------------------------------------------------------------------


def test_inner_step_is_one_step_of_torchs_adam(detector):
    unified = start(detector)
    batches = [batch_of(b, 0) for b in draw_batches(3, seed=1)]
    theirs = {name: value.clone().requires_grad_() for name, value in unified.parameters.items()}
    optimiser = torch.optim.Adam(theirs.values(), lr=INNER_RATE)
    statistics = unified.statistics
    model, state = unified, adam_start(unified.parameters)
    for batch in batches:
        optimiser.zero_grad()
        expected, statistics = loop_loss(detector, theirs, statistics, batch)
        expected.backward()
        optimiser.step()
        model, state, loss = inner_step(detector, model, state, batch, rate=INNER_RATE)
        assert float(loss) == pytest.approx(float(expected.detach()), rel=1e-10)
        assert_close(model.parameters, {name: leaf.detach() for name, leaf in theirs.items()})
        assert_close(model.statistics, {name: v.detach() for name, v in statistics.items()})


def test_replicas_are_equal_and_independent(detector):
    unified = start(detector)
    before = {name: value.clone() for name, value in unified.parameters.items()}
    copies = replicate(unified, MODELS)
    for part, original in zip(copies, unified, strict=True):
        for name, value in part.items():
            assert value.shape == (MODELS, *original[name].shape)
            assert all(torch.equal(value[i], original[name]) for i in range(MODELS))
    adapted, _ = adapt(detector, copies, draw_batches(2, seed=1), rate=INNER_RATE)
    assert all(torch.equal(unified.parameters[name], before[name]) for name in before)
    vectors = [together(model_of(adapted, i).parameters) for i in range(MODELS)]
    assert not torch.equal(vectors[0], vectors[1])
    assert not torch.equal(vectors[1], vectors[2])


def test_adapting_together_equals_torch_loops_over_models(detector):
    unified, supports = start(detector), draw_batches(SUPPORTS, seed=1)
    adapted, losses = adapt(detector, replicate(unified, MODELS), supports, rate=INNER_RATE)
    for i in range(MODELS):
        parameters, statistics, loss = loop_adapt(
            detector, unified.parameters, unified.statistics, [batch_of(b, i) for b in supports]
        )
        ours = model_of(adapted, i)
        assert_close(ours.parameters, {name: v.detach() for name, v in parameters.items()})
        assert_close(ours.statistics, {name: v.detach() for name, v in statistics.items()})
        assert float(losses[i]) == pytest.approx(loss, rel=1e-9)


def test_adapting_models_that_differ_equals_a_loop_in_single_precision(detector):
    models = [start(detector, seed=i, dtype=torch.float32) for i in range(MODELS)]
    stacked = HeadWeights(
        *(
            {name: torch.stack([m[part][name] for m in models]) for name in models[0][part]}
            for part in (0, 1)
        )
    )
    supports = draw_batches(SUPPORTS, seed=1, dtype=torch.float32)
    adapted, _ = adapt(detector, stacked, iter(supports), rate=2e-4)
    for i, start_of_one in enumerate(models):
        model, state = start_of_one, adam_start(start_of_one.parameters)
        for batch in supports:
            model, state, _ = inner_step(detector, model, state, batch_of(batch, i), rate=2e-4)
        assert_close(model_of(adapted, i).parameters, model.parameters, tolerance=1e-5)
        assert_close(model_of(adapted, i).statistics, model.statistics, tolerance=1e-5)


@pytest.mark.parametrize("changed", range(SUPPORTS))
def test_the_inner_step_of_every_batch_counts(detector, changed):
    unified, supports = start(detector), draw_batches(SUPPORTS, seed=1)
    others = list(supports)
    others[changed] = draw_batches(1, seed=77)[0]
    fewer = supports[:changed] + supports[changed + 1 :]

    def run(batches):
        return adapt(detector, replicate(unified, MODELS), batches, rate=INNER_RATE)[0]

    usual = run(supports)
    for different in (run(others), run(fewer)):
        for i in range(MODELS):
            distance = together(model_of(usual, i).parameters) - together(
                model_of(different, i).parameters
            )
            assert distance.abs().max() > INNER_RATE / 10


# --- outer step: Eq. 3 and 4 -----------------------------------------------------------------

ORDERS = {"first": loop_first_order, "second": loop_second_order}


def our_gradient(order, detector, unified, supports, queries, importance):
    if order == "second":
        return second_order_gradient(
            detector, unified, supports, queries, importance, rate=INNER_RATE
        )
    base, _ = adapt(detector, replicate(unified, MODELS), supports, rate=INNER_RATE)
    return first_order_gradient(detector, base, queries, importance)


@pytest.mark.parametrize("order", ORDERS)
def test_full_outer_steps_equal_plain_loops(detector, order):
    """Two outer steps from the same start, so that the optimiser's moments are carried over."""
    ours, state = start(detector), adam_start(start(detector).parameters)
    theirs, adam = start(detector), LoopAdam(OUTER_RATE)
    for turn in range(2):
        supports = draw_batches(SUPPORTS, seed=10 + turn)
        queries = draw_batches(QUERIES, seed=20 + turn)
        gradient, base, losses = our_gradient(order, detector, ours, supports, queries, IMPORTANCE)
        expected, statistics, expected_losses = ORDERS[order](
            detector, theirs, supports, queries, IMPORTANCE
        )
        assert_close(gradient, expected, tolerance=1e-6)
        assert losses.tolist() == pytest.approx(expected_losses, rel=1e-6)

        ours, state = outer_step(ours, gradient, base, state, rate=OUTER_RATE)
        theirs = HeadWeights(adam.step(theirs.parameters, expected), statistics)
        assert_close(ours.parameters, theirs.parameters, tolerance=1e-6)
        assert_close(ours.statistics, theirs.statistics, tolerance=1e-6)
        moved = together(ours.parameters) - together(start(detector).parameters)
        assert moved.abs().median() > 0.5 * OUTER_RATE, "standing still would be equal too"


def test_second_order_differs_from_first_order_where_the_loss_is_curved():
    """DevNet's loss is made of straight pieces in its weights: there, the two are the same."""
    for name, detector in DETECTORS.items():
        first, second = both_orders(detector)
        difference = (first - second).norm() / first.norm()
        assert difference < 1e-9 if name == "devnet" else difference > 1e-2, name


def both_orders(detector):
    unified = start(detector)
    supports, queries = draw_batches(SUPPORTS, seed=1), draw_batches(QUERIES, seed=2)
    first, *_ = our_gradient("first", detector, unified, supports, queries, IMPORTANCE)
    second, *_ = our_gradient("second", detector, unified, supports, queries, IMPORTANCE)
    return together(first), together(second)


def test_second_order_is_the_slope_of_the_query_loss(detector):
    """Against finite differences of Eq. 4's objective: no autograd on either side of the step."""
    unified = start(detector)
    supports, queries = draw_batches(2, seed=1), draw_batches(1, seed=2)
    gradient, *_ = our_gradient("second", detector, unified, supports, queries, IMPORTANCE)
    generator = torch.Generator().manual_seed(3)
    direction = {
        name: torch.randn(v.shape, generator=generator, dtype=torch.float64)
        for name, v in unified.parameters.items()
    }

    def objective(distance):
        moved = {name: v + distance * direction[name] for name, v in unified.parameters.items()}
        base, _ = adapt(
            detector,
            replicate(HeadWeights(moved, unified.statistics), MODELS),
            supports,
            rate=INNER_RATE,
        )
        return float(IMPORTANCE @ first_order_gradient(detector, base, queries, IMPORTANCE)[2])

    distance = 1e-7
    slope = (objective(distance) - objective(-distance)) / (2 * distance)
    expected = sum(float((gradient[name] * direction[name]).sum()) for name in gradient)
    assert expected == pytest.approx(slope, rel=1e-4)


@pytest.mark.parametrize("order", ORDERS)
def test_a_model_without_importance_has_no_say(detector, order):
    unified = start(detector)
    supports, queries = draw_batches(SUPPORTS, seed=1), draw_batches(QUERIES, seed=2)
    importance = torch.tensor([0.6, 0.0, 0.4], dtype=torch.float64)
    gradient, *_ = our_gradient(order, detector, unified, supports, queries, importance)
    for batch, other in zip(queries, draw_batches(QUERIES, seed=3), strict=True):
        for scale, others in zip(batch.maps, other.maps, strict=True):
            scale[1] = others[1]
    same, *_ = our_gradient(order, detector, unified, supports, queries, importance)
    for name in gradient:
        torch.testing.assert_close(gradient[name], same[name])


@pytest.mark.parametrize("order", ORDERS)
def test_gradients_stay_finite_when_units_are_dead(order):
    """A ReLU that never fires leaves gradients of exactly zero, where Adam's root has no slope."""
    detector = DETECTORS["dra"]
    unified = start(detector)
    unified.parameters["holistic.hidden.bias"][:] = -100.0
    supports, queries = draw_batches(SUPPORTS, seed=1), draw_batches(QUERIES, seed=2)
    gradient, *_ = our_gradient(order, detector, unified, supports, queries, IMPORTANCE)
    assert all(value.isfinite().all() for value in gradient.values())
    assert not gradient["holistic.hidden.weight"].any()
    assert gradient["seen.weight"].any()


def test_unified_statistics_are_the_mean_of_the_base_models():
    detector = DETECTORS["dra"]
    unified = start(detector)
    base, _ = adapt(detector, replicate(unified, MODELS), draw_batches(2, seed=1), rate=INNER_RATE)
    zero = {name: torch.zeros_like(value) for name, value in unified.parameters.items()}
    stepped, _ = outer_step(unified, zero, base, adam_start(unified.parameters), rate=OUTER_RATE)
    for name, value in stepped.statistics.items():
        expected = sum(base.statistics[name][i] for i in range(MODELS)) / MODELS
        torch.testing.assert_close(value, expected)
        assert not torch.equal(value, unified.statistics[name])


def test_batch_loss_is_that_of_training(detector):
    unified, batch = start(detector), batch_of(draw_batches(1, seed=4)[0], 0)
    loss, statistics = batch_loss(detector, unified.parameters, unified.statistics, batch)
    expected, expected_statistics = loop_loss(
        detector, unified.parameters, unified.statistics, batch
    )
    assert torch.equal(loss, expected)
    assert_close(statistics, expected_statistics)
