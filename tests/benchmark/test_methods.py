"""Methods of the benchmark: what they are given, what they find, and what they are."""

import numpy as np
import pytest

from ahl.benchmark.methods import ABLATION_METHODS, METHODS
from ahl.benchmark.results import Results
from ahl.benchmark.runner import run_benchmark
from ahl.scoring.metrics import auroc
from benchmark.small_benchmarks import Brightness, small


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


def test_no_test_label_reaches_a_method(dataset, tmp_path):
    """The problem that a method is given holds features, no names and no classes of the test."""
    seen = []

    class Spy(Brightness):
        def score(self, problem):
            seen.append({name for name in vars(problem) if not name.startswith("_")})
            return super().score(problem)

    run_benchmark(small(dataset, "brightness", further=(Spy(),)), tmp_path)
    assert seen == [
        {"normals", "anomalies", "test", "make_pseudo", "generators", "config", "seed", "device"}
    ]


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
