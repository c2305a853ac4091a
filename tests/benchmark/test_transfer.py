"""Transfers: trained on one dataset, tested on another, by the methods that can."""

import pytest
from PIL import Image

from ahl._common.errors import ConfigurationError
from ahl.benchmark.methods import ABLATION_METHODS, METHODS, DetectorMethod
from ahl.benchmark.protocol import BenchmarkDataset
from ahl.benchmark.report import write_benchmark_report
from ahl.benchmark.results import Results
from ahl.benchmark.runner import run_benchmark
from ahl.benchmark.trials import plan, run_context
from ahl.data import open_dataset
from benchmark.small_benchmarks import Brightness, small
from small_images import SIZE, small_image
from tiny import tiny_config


def test_transfer_trains_on_one_and_tests_on_another(dataset, inspection_folder, tmp_path):
    other = BenchmarkDataset(name="others", subsets=(open_dataset(inspection_folder),))
    benchmark = small(dataset, "ahl-dra", "devnet", datasets=[dataset, other], transfer=True)
    assert run_benchmark(benchmark, tmp_path).failed == ()
    results = Results(tmp_path).trials.values()
    assert {(r.source, r.dataset, r.method) for r in results} == {
        (source, target, method)
        for source, target in (("parts", "others"), ("others", "parts"))
        for method in ("ahl-dra", "devnet")
    }
    assert all(result.auroc_seen is None for result in results)
    run_benchmark(
        small(dataset, "devnet", "logistic"), tmp_path, resume=True
    )  # beside it in one folder
    write_benchmark_report(tmp_path)
    report = (tmp_path / "report.md").read_text()
    assert "transfer from others" in report
    assert "transfer from parts" in report


def test_a_target_of_another_shape_has_the_size_of_the_source(dataset, tmp_path):
    for name, count in (("good", 8), ("dot", 5)):
        (tmp_path / "wide" / name).mkdir(parents=True)
        for number in range(count):
            image = Image.fromarray(small_image(name, number)).resize((2 * SIZE, SIZE))
            image.save(tmp_path / "wide" / name / f"{number}.png")
    wide = BenchmarkDataset(name="wide", subsets=(open_dataset(tmp_path / "wide"),))
    config = tiny_config(epochs=1).with_image_size("auto")
    benchmark = small(dataset, "devnet", datasets=[dataset, wide], transfer=True, config=config)
    assert run_benchmark(benchmark, tmp_path / "results").failed == ()
    results = Results(tmp_path / "results").trials.values()
    sizes = {result.source: result.image_size for result in results}
    assert sizes == {"parts": (224, 224), "wide": (160, 320)}


def test_what_cannot_transfer_is_refused_before_anything_is_computed(dataset, inspection_folder):
    other = BenchmarkDataset(name="others", subsets=(open_dataset(inspection_folder),))
    methods = ("ahl-dra", "logistic", "fs-dra", "+hadg", "fs-dra,heads.margin=4", "brightness")
    benchmark = small(
        dataset, *methods, further=(Brightness(),), datasets=[dataset, other], transfer=True
    )
    with pytest.raises(ConfigurationError) as refused:
        next(plan(benchmark, run_context(benchmark)))
    assert "train on every class: fs-dra;" in str(refused.value)
    assert "other normals: logistic, +hadg, brightness." in str(refused.value)
    assert "ahl-dra" not in str(refused.value)


@pytest.mark.parametrize("method", [*METHODS, *ABLATION_METHODS], ids=lambda method: method.name)
def test_a_method_transfers_where_it_is_a_detector_that_sees_no_more_than_others(method):
    single = isinstance(method, DetectorMethod) and method.ensemble is None
    assert method.transfers is (single and method.name != "fs-dra")


def test_an_own_method_transfers_where_it_says_how():
    class Moving(Brightness):
        def transfer(self, source, target):
            return self.score(target)

    class Bound(Moving):
        labels = "every class"

    assert (Brightness().transfers, Moving().transfers, Bound().transfers) == (False, True, False)
