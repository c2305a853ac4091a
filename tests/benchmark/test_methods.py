"""Methods of the benchmark: what they are given, what they find, and what they are."""

from dataclasses import replace

import numpy as np
import pytest

from ahl.benchmark import methods
from ahl.benchmark.methods import ABLATION_METHODS, METHODS, find_method
from ahl.benchmark.results import Results
from ahl.benchmark.runner import run_benchmark
from ahl.features.table import FeatureTable
from ahl.scoring.metrics import auroc
from benchmark.small_benchmarks import Brightness, small
from benchmark.small_problems import TESTED, given, make_problem
from synthetic_features import LAYOUT, draw_normals, group_of, to_rows


@pytest.mark.parametrize("method", [*METHODS, *ABLATION_METHODS], ids=lambda method: method.name)
def test_every_method_scores_a_test_the_same_way_twice(dataset, method, tmp_path):
    benchmark = small(dataset, method.name)
    found = []
    for name in ("one", "two"):
        outcome = run_benchmark(benchmark, tmp_path / name)
        assert (outcome.computed, outcome.failed) == (1, ())
        (result,) = Results(tmp_path / name).trials.values()
        found.append(Results(tmp_path / name).scored(result.key))
    assert np.array_equal(found[0].scores, found[1].scores)
    assert result.auroc == pytest.approx(auroc(found[0].labels, found[0].scores))
    expected = 12 + (24 - 9 if method.labels == "every class" else 24 - 3)
    assert len(found[0].names) == expected
    assert result.seconds > 0
    assert result.peak_mebibytes > 50


@pytest.mark.parametrize("method", [*METHODS, *ABLATION_METHODS], ids=lambda method: method.name)
def test_no_score_depends_on_what_else_is_tested(method, monkeypatch):
    """Test images train nothing: neither as normals, nor as anomalies, nor as a scale."""
    monkeypatch.setattr("ahl.benchmark.baselines.distillation.STEPS", 5)
    problem = given(method, make_problem())
    few = replace(problem, test=problem.test.chosen(np.arange(TESTED // 2)))
    together, alone = method.score(problem), method.score(few)
    np.testing.assert_allclose(alone, together[: TESTED // 2], rtol=1e-5, atol=1e-5)


def test_a_transfer_trains_on_the_source_and_adapts_to_the_targets_normals(monkeypatch):
    """What is labelled is the source's, what is tested the target's, by the adapted model."""
    source, target = make_problem(), make_problem()
    normals = FeatureTable.of_rows(LAYOUT, to_rows(draw_normals(group_of(12), 40)))
    tested = FeatureTable.of_rows(LAYOUT, to_rows(draw_normals(group_of(5), 41)))
    target = replace(target, normals=normals, test=tested)
    prepare, adapt = methods.prepare, methods.adapt_on_features
    seen = {}

    def prepared(detector, normals, anomalies, *others, **constants):
        seen.update(trained=normals, labelled=anomalies)
        return prepare(detector, normals, anomalies, *others, **constants)

    def adapted(model, normals, pseudo, plan, *, device):
        seen.update(adapted=normals, model=adapt(model, normals, pseudo, plan, device=device))
        return seen["model"]

    monkeypatch.setattr(methods, "prepare", prepared)
    monkeypatch.setattr(methods, "adapt_on_features", adapted)
    method = find_method("dra")
    scores = method.transfer(given(method, source), given(method, target))
    assert seen["trained"] is source.normals
    assert seen["labelled"] is source.anomalies
    assert seen["adapted"] is target.normals
    np.testing.assert_array_equal(scores, seen["model"].score_table(tested))


def test_no_test_label_reaches_a_method(dataset, tmp_path):
    """The problem that a method is given holds features, no names and no classes of the test."""
    seen = []

    class Spy(Brightness):
        def score(self, problem):
            seen.append({name for name in vars(problem) if not name.startswith("_")})
            return super().score(problem)

    run_benchmark(small(dataset, "brightness", further=(Spy(),)), tmp_path)
    training = {"normals", "anomalies", "groups", "make_pseudo", "generators"}
    assert seen == [training | {"test", "config", "seed", "device"}]


def test_what_a_method_is_stands_in_its_results(dataset, tmp_path):
    class Own(Brightness):
        name = "own"
        kind = "ahl"
        labels = "none"

    run_benchmark(small(dataset, "brightness", "own", further=(Brightness(), Own())), tmp_path)
    found = [(r.method, r.kind, r.labels) for r in Results(tmp_path).trials.values()]
    assert found == [("brightness", "rival", "some classes"), ("own", "ahl", "none")]


@pytest.mark.parametrize("method", [*METHODS, *ABLATION_METHODS], ids=lambda method: method.name)
def test_the_methods_are_what_the_paper_makes_of_them(method):
    own = {"ahl-": "ahl", "+": "part"}
    kinds = [kind for start, kind in own.items() if method.name.startswith(start)]
    assert [method.kind] == (kinds or ["rival"])
