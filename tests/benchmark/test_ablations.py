"""The ablations train what their names say."""

from dataclasses import replace

import numpy as np
import pytest

from ahl._common.types import Kind
from ahl.benchmark import methods
from ahl.benchmark.fairness import PLAIN
from ahl.benchmark.methods import (
    ABLATION_METHODS,
    METHODS,
    DetectorMethod,
    find_method,
)
from ahl.benchmark.protocol import Draw
from ahl.benchmark.trials import make_trial
from ahl.benchmark.variants import Variant
from ahl.config import CalibrationConfig
from ahl.distributions.training_set import IndexedSet, TrainingSet
from ahl.features.table import FeatureTable
from ahl.heads import DevNet
from benchmark.small_problems import TESTED, given, make_problem
from synthetic_features import make_training_set
from tiny import tiny_config


def ensemble(kind):
    return DetectorMethod(
        name="x",
        title="X",
        kind="part",
        detector=DevNet,
        episodes=False,
        settings=PLAIN,
        ensemble=kind,
    )


def numbered(training_set):
    """The set with features that tell which sample they are of."""
    layout = training_set.features.layout
    rows = np.repeat(np.arange(len(training_set), dtype=np.float16)[:, None], layout.row_size, 1)
    return replace(training_set, features=FeatureTable.of_rows(layout, rows))


def numbers(table):
    return table.rows(np.arange(len(table)))[:, 0].long().tolist()


@pytest.fixture
def learnt(monkeypatch):
    """Every (task, config, seed, model) that an ablation trains."""
    found, learn = [], methods.learn

    def listening(task, config, *, seed, device):
        model = learn(task, config, seed=seed, device=device)
        found.append((task, config, seed, model))
        return model

    monkeypatch.setattr(methods, "learn", listening)
    return found


# --- D_i -------------------------------------------------------------------------------------


def test_the_union_holds_what_either_set_holds_once_and_sorted():
    def indexed(normals, anomalies, pseudo):
        parts = [np.array(part, dtype=np.int64) for part in (normals, anomalies, pseudo)]
        return IndexedSet(normals=parts[0], anomalies=parts[1], pseudo=parts[2])

    union = methods._union(indexed([5, 9], [20, 21], []), indexed([1, 5], [20, 25], [30, 33]))
    found = [part.tolist() for part in union.by_kind()]
    assert found == [[1, 5, 9], [20, 21, 25], [30, 33]]
    assert all(part.dtype == np.int64 for part in union.by_kind())


def test_a_restricted_set_has_the_rows_and_kinds_of_the_part_alone():
    whole, distributions, _ = make_training_set()
    whole = numbered(whole)
    for support, query in zip(distributions.supports, distributions.queries, strict=True):
        part = methods._union(support, query)
        restricted: TrainingSet = methods._restricted(whole, part)
        kept = numbers(restricted.features)
        assert kept == [int(j) for indices in part.by_kind() for j in indices]
        assert len(restricted) == len(kept) < len(whole)
        assert restricted.kinds.tolist() == [int(whole.kinds[j]) for j in kept]
        for kind in Kind:
            own = restricted.everything.by_kind()[kind]
            assert [kept[j] for j in own] == part.by_kind()[kind].tolist()


@pytest.mark.parametrize("grouping", ["k-means", "random"])
def test_a_distribution_ensemble_trains_alone_on_every_distribution(learnt, monkeypatch, grouping):
    asked, prepare = [], methods.prepare

    def numbering(*arguments, **others):
        task = prepare(*arguments, **others)
        asked.append((arguments[-1], task.distributions))
        return replace(task, data=numbered(task.data))

    monkeypatch.setattr(methods, "prepare", numbering)
    method = ensemble(grouping)
    method.score(given(method, make_problem()))
    ((config, distributions),) = asked
    assert config.distributions.grouping == grouping
    assert not config.learning.episodes
    assert len(distributions) > 1
    for number, (task, learning, _, _) in enumerate(learnt):
        union = methods._union(distributions.supports[number], distributions.queries[number])
        expected = sorted(int(j) for part in union.by_kind() for j in part)
        assert numbers(task.data.features) == expected
        assert learning == config
    assert len(learnt) == len(distributions)
    assert len({seed for _, _, seed, _ in learnt}) == len(learnt)


# --- averaging -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method",
    [method for method in ABLATION_METHODS if method.ensemble],
    ids=lambda m: m.name,
)
def test_an_ensembles_score_is_the_mean_of_its_members(method, monkeypatch):
    members = iter(range(100))

    class Member:
        def __init__(self):
            self.number = next(members)

        def score_table(self, table):
            return np.arange(len(table)) + 10.0 * self.number

    monkeypatch.setattr(methods, "learn", lambda *_, **__: Member())
    scores = method.score(given(method, make_problem()))
    trained = next(members)
    assert trained > 1
    np.testing.assert_allclose(scores, np.arange(TESTED) + 10.0 * (trained - 1) / 2)


def test_a_seed_ensemble_differs_by_its_seeds_alone(learnt):
    method = ensemble("seeds")
    scores = method.score(given(method, make_problem()))
    tasks, configs, seeds, models = zip(*learnt, strict=True)
    assert len(learnt) == len(tasks[0].distributions) > 1
    assert all(task is tasks[0] for task in tasks), "on all of D"
    assert not tasks[0].folds
    assert all(config == configs[0] for config in configs)
    assert not configs[0].learning.episodes
    assert len(set(seeds)) == len(seeds)
    members = [model.score_table(make_problem().test) for model in models]
    for i, one in enumerate(members):
        assert all(np.abs(one - other).max() > 1e-4 for other in members[:i])
    np.testing.assert_allclose(scores, np.mean(members, axis=0), rtol=1e-6)


def test_the_problems_seed_reaches_every_member(learnt):
    method = ensemble("seeds")
    for seed in (0, 1):
        method.score(given(method, make_problem(seed)))
    half = len(learnt) // 2
    assert not {s for _, _, s, _ in learnt[:half]} & {s for _, _, s, _ in learnt[half:]}


# --- configs ---------------------------------------------------------------------------------

LEARNING = [method for method in (*METHODS, *ABLATION_METHODS) if method.reads_config]


@pytest.mark.parametrize("method", LEARNING, ids=lambda method: method.name)
def test_the_config_of_a_trial_is_the_one_that_is_learnt_by(method, monkeypatch):
    """Whatever the run's config says: it is what the results result."""
    run = []

    def learn(task, config, **_):
        run.append((task.detector, config))
        raise StopIteration

    monkeypatch.setattr(methods, "learn", learn)
    problem = make_problem()
    draw = Draw(dataset="x", subset="", setting="general", known_class="", anomalies=3, seed=0)
    for changed in (
        problem.config,
        replace(problem.config, learning=replace(problem.config.learning, episodes=False)),
        replace(
            problem.config,
            distributions=replace(problem.config.distributions, grouping="random"),
            calibration=CalibrationConfig(folds=2),
        ),
    ):
        trial = make_trial(draw, Variant.parse(method.name), changed, {})
        with pytest.raises(StopIteration):
            method.score(replace(problem, config=trial.config))
        detector, config = run.pop()
        assert type(detector) is method.detector
        assert config == trial.config
        assert config.learning.episodes is method.name.startswith(("ahl-", "+cdl-"))
        if method.ensemble not in (None, "seeds"):
            assert config.distributions.grouping == method.ensemble
            assert config.calibration.folds == 0
        else:
            assert config.distributions == changed.distributions


# --- measured importance ---------------------------------------------------------------------


def test_measured_importance_is_all_that_cdl_minus_changes():
    config = tiny_config()
    own = Variant.parse("+cdl-").configure(config)
    published = Variant.parse(
        "ahl-dra,vectors.components=0,memory.patches=0,calibration.folds=0"
    ).configure(config)
    expected = published.to_dict()
    expected["importance"]["source"] = "measured"
    assert own.to_dict() == expected
    assert config.importance.source == "psi"


def test_without_psi_importance_is_measured_and_does_weigh(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("psi is trained")

    monkeypatch.setattr("ahl.learning.importance.train_predictor", refuse)
    problem = make_problem(epochs=7)
    with pytest.raises(AssertionError, match="psi"):
        find_method("ahl-dra").score(problem)
    without_psi = replace(problem, config=Variant.parse("+cdl-").configure(problem.config))
    measured = find_method("+cdl-").score(without_psi)
    importance = replace(problem.config.importance, source="equal")
    equal = replace(problem, config=replace(without_psi.config, importance=importance))
    assert np.abs(measured - find_method("ahl-dra").score(equal)).max() > 1e-6
