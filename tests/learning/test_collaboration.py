"""Inner and outer steps against plain loops: over models, over batches, over parameters."""

import pytest
import torch
from plain_collaboration import (
    DETECTORS,
    IMPORTANCE,
    INNER_RATE,
    MODELS,
    OUTER_RATE,
    QUERIES,
    SUPPORTS,
    LoopAdam,
    assert_close,
    batch_of,
    draw_batches,
    loop_adapt,
    loop_first_order,
    loop_loss,
    loop_second_order,
    model_of,
    start,
    together,
)

from ahl.heads.weights import HeadWeights, replicate
from ahl.learning.adam import adam_start
from ahl.learning.collaboration import (
    batch_loss,
    first_order_gradient,
    in_turn,
    inner_loop,
    inner_step,
    outer_step,
    second_order_gradient,
    side_by_side,
)


@pytest.fixture(params=DETECTORS)
def detector(request):
    return DETECTORS[request.param]


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
    adapted, _ = inner_loop(detector, copies, draw_batches(2, seed=1), rate=INNER_RATE)
    assert all(torch.equal(unified.parameters[name], before[name]) for name in before)
    vectors = [together(model_of(adapted, i).parameters) for i in range(MODELS)]
    assert not torch.equal(vectors[0], vectors[1])
    assert not torch.equal(vectors[1], vectors[2])


def test_adapting_together_equals_torch_loops_over_models(detector):
    unified, supports = start(detector), draw_batches(SUPPORTS, seed=1)
    adapted, losses = inner_loop(detector, replicate(unified, MODELS), supports, rate=INNER_RATE)
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
    adapted, _ = inner_loop(detector, stacked, iter(supports), rate=2e-4)
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
        return inner_loop(detector, replicate(unified, MODELS), batches, rate=INNER_RATE)[0]

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
    base, _ = inner_loop(detector, replicate(unified, MODELS), supports, rate=INNER_RATE)
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
        base, _ = inner_loop(
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
    base, _ = inner_loop(
        detector, replicate(unified, MODELS), draw_batches(2, seed=1), rate=INNER_RATE
    )
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


def test_gradients_in_turn_are_those_side_by_side(detector):
    models, batch = replicate(start(detector), MODELS), draw_batches(1, seed=3)[0]
    for ours, expected in zip(
        in_turn(detector, models, batch)[:2], side_by_side(detector, models, batch)[:2], strict=True
    ):
        assert_close(ours, expected)


def test_losses_in_turn_are_those_side_by_side(detector):
    models, batch = replicate(start(detector), MODELS), draw_batches(1, seed=3)[0]
    ours, expected = (way(detector, models, batch)[2] for way in (in_turn, side_by_side))
    torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)
    assert not ours.requires_grad
