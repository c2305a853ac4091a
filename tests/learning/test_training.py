"""The epoch loop on small features: repeatable, resumable, and it learns."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from ahl.config import Config, HeadConfig, ImportanceConfig, LearningConfig
from ahl.detectors import DETECTORS, DRA, DevNet
from ahl.features.table import FeatureTable
from ahl.learning import sample_scores, training
from ahl.learning.importance import ScorePredictor, importance_scores, predict
from ahl.learning.training import train
from ahl.learning.training_state import start_state
from ahl.metrics import auroc
from ahl.observer import Observer
from ahl.types import Kind
from synthetic_features import (
    CRACK,
    LAYOUT,
    PRIOR,
    SCRATCH,
    STAIN,
    draw_anomalies,
    draw_normals,
    group_of,
    make_training_set,
    mean_reference,
    score_rows,
    to_rows,
)

CPU = torch.device("cpu")
HEADS = HeadConfig(holistic_hidden=8, residual_bottleneck=3, residual_channels=5)
LEARNING = LearningConfig(
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
VARIANTS = {
    "usual": {},
    "rounds": {"rounds": 2, "query_batches": 2},
    "second order": {"second_order": True, "rounds": 2},
    "alone": {"collaborative": False},
}


@pytest.fixture(scope="module", params=DETECTORS, ids=lambda cls: cls.name)
def detector(request):
    return request.param(HEADS, LAYOUT, PRIOR)


@pytest.fixture(scope="module", params=VARIANTS)
def config(request):
    return with_learning(**VARIANTS[request.param])


@pytest.fixture(scope="module")
def whole_run(detector, config):
    """One run from start to end: its final state, and what its hooks were given."""
    torch.manual_seed(0)
    return run(detector, config)


def with_learning(**constants):
    return replace(CONFIG, learning=replace(LEARNING, **constants))


class Recorder(Observer):
    """Keeps a copy of every state, and the records as they were announced."""

    def __init__(self):
        self.states, self.announced, self.given = [], [], []

    def on_epoch(self, record, epochs):
        self.announced.append((record, epochs))

    def keep(self, state):
        self.given.append(state)
        self.states.append(copy.deepcopy(state))


def run(detector, config=CONFIG, *, seed=0, state=None, training_set=None):
    training_set = training_set or make_training_set()[0]
    recorder = Recorder()
    final = train(
        detector,
        training_set,
        mean_reference(training_set),
        config,
        seed=seed,
        device=CPU,
        observer=recorder,
        keep=recorder.keep,
        state=state,
    )
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
        "history": dict(enumerate(state.history)),
        "average": state.average,
    }
    for part, tensors in parts.items():
        found |= {f"{part} {name}": value for name, value in tensors.items()}
    return found


def assert_same_bits(one, other):
    assert one.epoch == other.epoch
    assert one.records == other.records
    left, right = tensors_of(one), tensors_of(other)
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert torch.equal(value, right[name]), name


# --- determinism and resuming ------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bits(detector, config, whole_run):
    torch.manual_seed(1)
    again, _ = run(detector, config)
    assert_same_bits(again, whole_run[0])


def test_another_seed_gives_another_model(detector):
    one, other = (run(detector, with_learning(epochs=1), seed=seed)[0] for seed in (0, 1))
    for name, value in one.unified.parameters.items():
        assert not torch.equal(value, other.unified.parameters[name])


def test_a_run_resumed_from_any_epoch_ends_with_the_same_bits(detector, config, whole_run):
    whole, recorder = whole_run
    assert [state.epoch for state in recorder.states] == list(range(1, LEARNING.epochs + 1))
    for state in recorder.states:
        before = copy.deepcopy(state)
        resumed, later = run(detector, config, state=state)
        assert_same_bits(resumed, whole)
        assert_same_bits(state, before)
        # What had been done before is not done, or announced, again.
        assert len(later.states) == LEARNING.epochs - state.epoch
        assert later.announced == recorder.announced[state.epoch :]


def test_states_given_to_hooks_are_not_changed_afterwards(whole_run):
    _, recorder = whole_run
    for given, then in zip(recorder.given, recorder.states, strict=True):
        assert_same_bits(given, then)


def test_training_from_disk_and_from_memory_gives_the_same_bits(detector, monkeypatch):
    from_memory, _ = run(detector)
    monkeypatch.setattr(FeatureTable, "keep_resident", lambda _: None)
    from_disk, _ = run(detector)
    assert_same_bits(from_disk, from_memory)


def test_hooks_hear_of_every_epoch(config, whole_run):
    final, recorder = whole_run
    assert [record.epoch for record, _ in recorder.announced] == [1, 2, 3, 4, 5]
    assert {epochs for _, epochs in recorder.announced} == {5}
    assert final.records == [record for record, _ in recorder.announced]
    for record in final.records:
        models = 7 if config.learning.collaborative else 1
        assert len(record.support_losses) == len(record.importance) == models
        assert len(record.query_losses) == (models if config.learning.collaborative else 0)
        losses = np.array(record.support_losses + record.query_losses)
        assert np.isfinite(losses).all()
        assert (losses >= 0).all()


# --- how many steps ------------------------------------------------------------------------------


@pytest.mark.parametrize(("rounds", "inner_steps"), [(1, 2), (3, 2), (2, 5)])
def test_alone_takes_as_many_steps_as_a_base_model_does(detector, monkeypatch, rounds, inner_steps):
    """The comparison is fair: the same number of steps, of the same size, on batches of D."""
    batches = []

    def counted(*arguments, rate):
        batches.append(arguments[3])
        assert rate == LEARNING.inner_rate
        return inner_step(*arguments, rate=rate)

    inner_step = training.inner_step
    monkeypatch.setattr(training, "inner_step", counted)
    config = with_learning(collaborative=False, epochs=3, rounds=rounds, inner_steps=inner_steps)
    final, _ = run(detector, config)
    assert len(batches) == 3 * rounds * inner_steps
    assert float(final.optimiser.step) == len(batches)
    assert all(len(batch.kinds) == LEARNING.batch_size for batch in batches)
    assert not float(final.predictor.optimiser.step)
    assert final.history == []


@pytest.mark.parametrize("second_order", [False, True])
def test_each_round_takes_its_inner_steps_and_one_outer_step(monkeypatch, second_order):
    seen = {"adapt": [], "queries": []}
    adapt, outer_step = training.adapt, training.outer_step

    def counted_adapt(detector, models, batches, *, rate):
        batches = list(batches)
        seen["adapt"].append(batches)
        assert rate == LEARNING.inner_rate
        return adapt(detector, models, batches, rate=rate)

    def counted_outer(*arguments, rate):
        assert rate == LEARNING.outer_rate
        return outer_step(*arguments, rate=rate)

    def counted_gradient(function, place):
        def counted(*arguments, **constants):
            seen["queries"].append(arguments[place])
            return function(*arguments, **constants)

        return counted

    monkeypatch.setattr(training, "adapt", counted_adapt)
    monkeypatch.setattr(training, "outer_step", counted_outer)
    for name, place in (("first_order_gradient", 2), ("second_order_gradient", 3)):
        counted = counted_gradient(getattr(training, name), place)
        monkeypatch.setattr(training, name, counted)

    config = with_learning(
        epochs=2, rounds=3, inner_steps=4, query_batches=2, second_order=second_order
    )
    final, _ = run(DevNet(HEADS, LAYOUT, PRIOR), config)
    assert float(final.optimiser.step) == 2 * 3
    assert [len(batches) for batches in seen["adapt"]] == [4] * 6
    assert [len(batches) for batches in seen["queries"]] == [2] * 6
    drawn = [b.maps[0] for batches in seen["adapt"] + seen["queries"] for b in batches]
    for i, one in enumerate(drawn):
        for other in drawn[:i]:
            assert not torch.equal(one, other), "every batch must be drawn anew"


def numbers_of(maps, features):
    """Which training samples (N, C, H, W) maps are: rows are compared bit by bit."""
    everything = features.maps(torch.arange(len(features)))[0].flatten(1)
    equal = (maps.flatten(1)[:, None] == everything).all(dim=2)
    assert equal.any(dim=1).all(), "every sample of a batch must be a training sample"
    return set(equal.float().argmax(dim=1).tolist())


@pytest.mark.parametrize("second_order", [False, True])
def test_base_models_learn_from_their_support_and_are_judged_on_their_query(
    monkeypatch, second_order
):
    training_set = make_training_set()[0]
    supports, queries = [], []
    adapt = training.adapt
    name, place = ("second_order_gradient", 3) if second_order else ("first_order_gradient", 2)
    gradient = getattr(training, name)

    def kept_adapt(detector, models, batches, *, rate):
        supports.extend(batches := list(batches))
        return adapt(detector, models, batches, rate=rate)

    def kept_gradient(*arguments, **constants):
        queries.extend(arguments[place])
        if second_order:  # it goes through the very steps that the base models took
            for one, other in zip(arguments[2], supports[-len(arguments[2]) :], strict=True):
                assert all(torch.equal(a, b) for a, b in zip(one.maps, other.maps, strict=True))
        return gradient(*arguments, **constants)

    monkeypatch.setattr(training, "adapt", kept_adapt)
    monkeypatch.setattr(training, name, kept_gradient)
    config = with_learning(epochs=3, query_batches=4, inner_steps=4, second_order=second_order)
    run(DevNet(HEADS, LAYOUT, PRIOR), config, training_set=training_set)

    for batches, sets in ((supports, training_set.supports), (queries, training_set.queries)):
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
    adapt, outer_step = training.adapt, training.outer_step
    name, place = ("second_order_gradient", 4) if second_order else ("first_order_gradient", 3)
    gradient = getattr(training, name)

    def kept_adapt(*arguments, **constants):
        started.append(arguments[1])
        adapted = adapt(*arguments, **constants)
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

    monkeypatch.setattr(training, "adapt", kept_adapt)
    monkeypatch.setattr(training, name, kept_gradient)
    monkeypatch.setattr(training, "outer_step", kept_step)
    final, recorder = run(detector, with_learning(second_order=second_order))

    assert len(set(final.records[-1].importance)) == 7, "importance must have been unequal"
    sizes = [len(query.normals) for query in make_training_set()[0].queries]
    assert len(set(sizes)) > 1, "query sets must have been of different sizes"
    for epoch, (where, weights) in enumerate(given):
        importance = final.records[epoch].importance
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
    training_set = make_training_set()[0]
    drawn = set()
    inner_step = training.inner_step

    def kept(detector, model, state, batch, *, rate):
        drawn.update(numbers_of(batch.maps[0], training_set.features))
        return inner_step(detector, model, state, batch, rate=rate)

    monkeypatch.setattr(training, "inner_step", kept)
    config = with_learning(collaborative=False, inner_steps=8)
    run(DevNet(HEADS, LAYOUT, PRIOR), config, training_set=training_set)
    assert len(drawn) > 0.95 * len(training_set)


# --- importance ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("history", "first_epoch", "first_trained", "first_weighed"),
    [(2, 4, 2, 4), (3, 1, 3, 3), (1, 0, 1, 1), (5, 5, 5, 5)],
)
def test_importance_is_equal_until_its_first_epoch(
    history, first_epoch, first_trained, first_weighed
):
    importance = replace(IMPORTANCE, history=history, first_epoch=first_epoch)
    # Scores are measured, and psi trained, once an epoch however many rounds it has.
    config = replace(with_learning(epochs=7, rounds=2), importance=importance)
    _, recorder = run(DRA(HEADS, LAYOUT, PRIOR), config)
    for epoch, state in enumerate(recorder.states):
        weights = state.records[-1].importance
        assert sum(weights) == pytest.approx(1.0, abs=1e-6)
        equal = weights == pytest.approx([1 / 7] * 7, abs=1e-7)
        assert equal == (epoch < first_weighed), f"epoch {epoch}"
        trained_epochs = max(0, epoch + 1 - first_trained)
        assert float(state.predictor.optimiser.step) == importance.steps * trained_epochs
        assert len(state.history) == min(epoch + 1, history)


def loop_importance(detector, training_set, before, after, config):
    """Eq. 6 and 7 for one epoch, from the state before it and psi after it."""
    low, high = detector.expected_scores
    past = torch.stack(before.history, dim=1)
    if config.error == "calibrated":
        past = ((past - low) / (high - low)).clamp(0, 1)
    predicted = predict(ScorePredictor(7, config.hidden), after.predictor.parameters, past)
    errors = []
    for i, support in enumerate(training_set.supports):
        terms = []
        for j, kind in enumerate(training_set.kinds.tolist()):
            if j in support.normals:
                continue
            label = 0.0 if kind == Kind.NORMAL else 1.0
            weight = 1.0 if training_set.unseen[j, i] else 0.5
            terms.append(weight * (float(predicted[j, i]) - label) ** 2)
        errors.append(sum(terms) / len(terms))
    return importance_scores(torch.tensor(errors)).tolist()


@pytest.mark.parametrize("form", ["calibrated", "paper"])
def test_importance_comes_from_the_errors_of_predicted_scores(detector, form):
    importance = replace(IMPORTANCE, error=form)
    config = replace(CONFIG, importance=importance)
    training_set = make_training_set()[0]
    _, recorder = run(detector, config, training_set=training_set)
    for before, after in zip(recorder.states[2:], recorder.states[3:], strict=False):
        expected = loop_importance(detector, training_set, before, after, importance)
        assert after.records[-1].importance == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_history_is_the_scores_of_the_adapted_base_models(detector, monkeypatch):
    adapted = []
    adapt = training.adapt

    def kept(*arguments, **constants):
        adapted.append(adapt(*arguments, **constants))
        return adapted[-1]

    monkeypatch.setattr(training, "adapt", kept)
    monkeypatch.setattr(sample_scores, "SCORING_CHUNK", 10)  # the training set is larger
    training_set = make_training_set()[0]
    _, recorder = run(detector, with_learning(epochs=2), training_set=training_set)
    reference = mean_reference(training_set)
    for (base, _), state in zip(adapted, recorder.states, strict=True):
        scores = state.history[-1]
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


# --- running statistics --------------------------------------------------------------------------


def test_final_statistics_are_those_of_the_final_weights():
    """Whatever they were before the last epoch has been forgotten, and weights do not move."""
    detector = DRA(HEADS, LAYOUT, PRIOR)
    config = with_learning(epochs=2)
    whole, recorder = run(detector, config)
    last_epoch, _ = run(detector, with_learning(epochs=1))
    for name, value in last_epoch.unified.statistics.items():
        assert not torch.equal(recorder.states[0].unified.statistics[name], value), "only at last"
    poisoned = recorder.states[0]
    for name in poisoned.unified.statistics:
        poisoned.unified.statistics[name] += 100.0
    other, _ = run(detector, config, state=poisoned)
    for name, value in whole.unified.parameters.items():
        assert torch.equal(other.unified.parameters[name], value)
    for name, value in whole.unified.statistics.items():
        assert torch.equal(other.unified.statistics[name], value)


# --- the average of the last epochs ------------------------------------------------------------


@pytest.mark.parametrize("averaged", [1, 2, 4, 100])
def test_the_result_is_the_mean_of_the_last_epochs(detector, averaged):
    """The epochs themselves are the same whatever is averaged."""
    config = with_learning(epochs=4, averaged_epochs=averaged)
    final, recorder = run(detector, config)
    plain, other = run(detector, with_learning(epochs=4, averaged_epochs=1))
    weights = [state.unified.parameters for state in other.states]
    for name, value in final.unified.parameters.items():
        expected = torch.stack([one[name] for one in weights[-averaged:]]).double().mean(dim=0)
        torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-6)
    assert len(recorder.states) == 4
    assert final.average == {}
    for one, same in zip(recorder.states[:-1], other.states[:-1], strict=True):
        for name, value in one.unified.parameters.items():
            assert torch.equal(value, same.unified.parameters[name])
    assert plain.records == final.records


# --- learning ------------------------------------------------------------------------------------

ENOUGH = {
    "dra": LearningConfig(
        epochs=10, rounds=4, inner_steps=3, batch_size=18, inner_rate=2e-3, outer_rate=0.03
    ),
    "devnet": LearningConfig(
        epochs=10, rounds=10, inner_steps=2, batch_size=18, inner_rate=5e-3, outer_rate=0.05
    ),
}


def auroc_by_kind(detector, model, training_set):
    """AUROC of new images of each kind of defect against new normals."""
    reference = mean_reference(training_set)
    low = score_rows(detector, model, reference, to_rows(draw_normals(group_of(60), 501)))
    found = {}
    for kind in (SCRATCH, STAIN, CRACK):
        high = score_rows(detector, model, reference, draw_anomalies(60, kind, 700 + kind))
        labels = np.repeat([0, 1], [len(low), len(high)])
        found[kind] = auroc(labels, np.concatenate([low, high]))
    return found


@pytest.mark.parametrize("collaborative", [True, False], ids=["collaborative", "alone"])
def test_seen_and_unseen_defects_are_told_from_normals(detector, collaborative):
    learning = ENOUGH[detector.name]
    if not collaborative:
        learning = replace(learning, collaborative=False, inner_rate=0.02)
    config = Config(heads=HEADS, learning=learning)
    training_set = make_training_set(seed=1)[0]
    untrained = start_state(detector, config, 7, seed=1).unified
    assert np.mean(list(auroc_by_kind(detector, untrained, training_set).values())) < 0.7

    final, _ = run(detector, config, seed=1, training_set=training_set)
    found = auroc_by_kind(detector, final.unified, training_set)
    assert min(found[SCRATCH], found[STAIN]) > 0.9
    if collaborative:
        assert found[CRACK] > 0.75
    first, last = final.records[0], final.records[-1]
    assert np.mean(last.support_losses) < 0.8 * np.mean(first.support_losses)
