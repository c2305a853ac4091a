"""The epoch loop: how many steps it takes, and what each learns from."""

import pytest
import torch

from ahl.heads import DevNet
from ahl.learning import algorithm
from learning.small_runs import HEADS, LEARNING, numbers_of, run, with_learning
from synthetic_features import (
    LAYOUT,
    PRIOR,
    make_training_set,
)


@pytest.mark.parametrize(("rounds", "inner_steps"), [(1, 2), (3, 2), (2, 5)])
def test_alone_takes_as_many_steps_as_a_base_model_does(detector, monkeypatch, rounds, inner_steps):
    """The comparison is fair: the same number of steps, of the same size, on batches of D."""
    batches = []

    def counted(*arguments, rate):
        batches.append(arguments[3])
        assert rate == LEARNING.inner_rate
        return inner_step(*arguments, rate=rate)

    inner_step = algorithm.inner_step
    monkeypatch.setattr(algorithm, "inner_step", counted)
    config = with_learning(episodes=False, epochs=3, rounds=rounds, inner_steps=inner_steps)
    final, _ = run(detector, config)
    assert len(batches) == 3 * rounds * inner_steps
    assert float(final.optimiser.step) == len(batches)
    assert all(len(batch.kinds) == LEARNING.batch_size for batch in batches)
    assert not float(final.predictor.optimiser.step)
    assert final.past_scores == []


@pytest.mark.parametrize("second_order", [False, True])
def test_each_round_takes_its_inner_steps_and_one_outer_step(monkeypatch, second_order):
    seen = {"inner_loop": [], "queries": []}
    inner_loop, outer_step = algorithm.inner_loop, algorithm.outer_step

    def counted(detector, models, batches, *, rate):
        batches = list(batches)
        seen["inner_loop"].append(batches)
        assert rate == LEARNING.inner_rate
        return inner_loop(detector, models, batches, rate=rate)

    def counted_outer(*arguments, rate):
        assert rate == LEARNING.outer_rate
        return outer_step(*arguments, rate=rate)

    def counted_gradient(function, place):
        def counted(*arguments, **constants):
            seen["queries"].append(arguments[place])
            return function(*arguments, **constants)

        return counted

    monkeypatch.setattr(algorithm, "inner_loop", counted)
    monkeypatch.setattr(algorithm, "outer_step", counted_outer)
    for name, place in (("first_order_gradient", 2), ("second_order_gradient", 3)):
        counted = counted_gradient(getattr(algorithm, name), place)
        monkeypatch.setattr(algorithm, name, counted)

    config = with_learning(
        epochs=2, rounds=3, inner_steps=4, query_batches=2, second_order=second_order
    )
    final, _ = run(DevNet(HEADS, LAYOUT, PRIOR), config)
    assert float(final.optimiser.step) == 2 * 3
    assert [len(batches) for batches in seen["inner_loop"]] == [4] * 6
    assert [len(batches) for batches in seen["queries"]] == [2] * 6
    drawn = [b.maps[0] for batches in seen["inner_loop"] + seen["queries"] for b in batches]
    for i, one in enumerate(drawn):
        for other in drawn[:i]:
            assert not torch.equal(one, other), "every batch must be drawn anew"


@pytest.mark.parametrize("second_order", [False, True])
def test_base_models_learn_from_their_support_and_are_judged_on_their_query(
    monkeypatch, second_order
):
    training_set, distributions, _ = make_training_set()
    supports, queries = [], []
    inner_loop = algorithm.inner_loop
    name, place = ("second_order_gradient", 3) if second_order else ("first_order_gradient", 2)
    gradient = getattr(algorithm, name)

    def kept(detector, models, batches, *, rate):
        supports.extend(batches := list(batches))
        return inner_loop(detector, models, batches, rate=rate)

    def kept_gradient(*arguments, **constants):
        queries.extend(arguments[place])
        if second_order:  # it goes through the very steps that the base models took
            for one, other in zip(arguments[2], supports[-len(arguments[2]) :], strict=True):
                assert all(torch.equal(a, b) for a, b in zip(one.maps, other.maps, strict=True))
        return gradient(*arguments, **constants)

    monkeypatch.setattr(algorithm, "inner_loop", kept)
    monkeypatch.setattr(algorithm, name, kept_gradient)
    config = with_learning(epochs=3, query_batches=4, inner_steps=4, second_order=second_order)
    run(DevNet(HEADS, LAYOUT, PRIOR), config, made=(training_set, distributions, None))

    for batches, sets in ((supports, distributions.supports), (queries, distributions.queries)):
        assert len(batches) == 12
        for i, indexed in enumerate(sets):
            allowed = {int(j) for part in indexed.by_kind() for j in part}
            drawn = set()
            for batch in batches:
                drawn |= numbers_of(batch.maps[0][i], training_set.features)
            assert drawn <= allowed
            assert len(drawn) > 0.8 * len(allowed)


@pytest.mark.parametrize("second_order", [False, True])
def test_the_outer_gradient_is_taken_where_it_belongs_and_weighed_by_importance(
    detector, monkeypatch, second_order
):
    """First order: at the adapted weights. Second order: at the unified ones, as in Eq. 4."""
    places, given, taken, started = [], [], [], []
    inner_loop, outer_step = algorithm.inner_loop, algorithm.outer_step
    name, place = ("second_order_gradient", 4) if second_order else ("first_order_gradient", 3)
    gradient = getattr(algorithm, name)

    def kept(*arguments, **constants):
        started.append(arguments[1])
        adapted = inner_loop(*arguments, **constants)
        places.append(adapted[0])
        return adapted

    def kept_gradient(*arguments, **constants):
        given.append((arguments[1], arguments[place].tolist()))
        found = gradient(*arguments, **constants)
        taken.append(found)
        return found

    def kept_step(unified, gradients, base, state, *, rate):
        assert gradients is taken[-1][0]
        assert base is taken[-1][1]
        stepped = outer_step(unified, gradients, base, state, rate=rate)
        places[-1] = unified if second_order else places[-1]
        return stepped

    monkeypatch.setattr(algorithm, "inner_loop", kept)
    monkeypatch.setattr(algorithm, name, kept_gradient)
    monkeypatch.setattr(algorithm, "outer_step", kept_step)
    final, recorder = run(detector, with_learning(second_order=second_order))

    assert len(set(final.history[-1].importance)) == 7, "importance must have been unequal"
    sizes = [len(query.normals) for query in make_training_set()[1].queries]
    assert len(set(sizes)) > 1, "query sets must have been of different sizes"
    for epoch, (where, weights) in enumerate(given):
        importance = final.history[epoch].importance
        total = sum(w * size for w, size in zip(importance, sizes, strict=True))
        expected = [w * size / total for w, size in zip(importance, sizes, strict=True)]
        assert weights == pytest.approx(expected, rel=1e-5)
        for name_, value in places[epoch].parameters.items():
            assert torch.equal(where.parameters[name_], value)
        for name_, value in started[epoch].parameters.items():
            if epoch > 0:  # every base model starts from what the outer step made
                unified = recorder.states[epoch - 1].unified.parameters[name_]
                assert all(torch.equal(copy_, unified) for copy_ in value)


def test_alone_learns_from_everything(monkeypatch):
    training_set, distributions, _ = make_training_set()
    drawn = set()
    inner_step = algorithm.inner_step

    def kept(detector, model, state, batch, *, rate):
        drawn.update(numbers_of(batch.maps[0], training_set.features))
        return inner_step(detector, model, state, batch, rate=rate)

    monkeypatch.setattr(algorithm, "inner_step", kept)
    config = with_learning(episodes=False, inner_steps=8)
    run(DevNet(HEADS, LAYOUT, PRIOR), config, made=(training_set, distributions, None))
    assert len(drawn) > 0.95 * len(training_set)
