"""The small parts as a dataset of the benchmark, read only; and results summed up."""

import pytest

from ahl.benchmark.protocol import BenchmarkDataset
from ahl.benchmark.summary import summarise_results
from ahl.data import open_dataset
from benchmark.made_results import write_results


@pytest.fixture(scope="session")
def dataset(benchmark_folder):
    return BenchmarkDataset(name="parts", subsets=(open_dataset(benchmark_folder),))


@pytest.fixture
def summed(tmp_path):
    def sum_up(results, **options):
        return summarise_results(write_results(tmp_path / "results", results, **options))

    return sum_up
