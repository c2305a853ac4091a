"""What a trial gives its method, and which anomalies its figures count as seen."""

import numpy as np
import pytest

from ahl._common.types import GOOD
from ahl.benchmark.results import Results
from ahl.benchmark.runner import run_benchmark
from ahl.data import draw_split
from ahl.scoring.metrics import auroc
from benchmark.small_benchmarks import Brightness, small


def test_a_method_is_given_the_seed_of_its_trial(dataset, tmp_path):
    seeds = []

    class Spy(Brightness):
        def score(self, problem):
            seeds.append(problem.seed)
            return super().score(problem)

    run_benchmark(small(dataset, "brightness", further=(Spy(),), seeds=(4, 2)), tmp_path)
    assert seeds == [4, 2]


def test_seen_are_the_classes_of_the_draw(dataset, tmp_path):
    """One anomaly is drawn: its class is seen, the two others are not."""
    benchmark = small(dataset, "brightness", further=(Brightness(),), anomalies=(1,))
    run_benchmark(benchmark, tmp_path)
    (result,) = Results(tmp_path).trials.values()
    (subset,) = dataset.subsets
    (drawn,) = draw_split(subset, anomalies=1, seed=0).anomalies
    scored = Results(tmp_path).scored(result.key)
    classes = np.array(scored.classes)
    for figure, of_figure in (
        (result.auroc_seen, classes == drawn.class_name),
        (result.auroc_unseen, classes != drawn.class_name),
    ):
        used = of_figure | (classes == GOOD)
        assert figure == pytest.approx(auroc(scored.labels[used], scored.scores[used]))
    assert result.auroc_seen != result.auroc_unseen


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_no_result(dataset, tmp_path, odd):
    class Odd(Brightness):
        def score(self, problem):
            scores = super().score(problem)
            scores[1] = odd
            return scores

    outcome = run_benchmark(small(dataset, "brightness", further=(Odd(),)), tmp_path)
    ((_, failure),) = outcome.failed
    assert "not finite" in failure
