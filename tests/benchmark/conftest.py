"""The small parts as a dataset of the benchmark, read only; and records summed up."""

import pytest

from ahl.benchmark.cells import BenchmarkDataset
from ahl.benchmark.summary import summarise_results
from ahl.data import open_dataset
from benchmark.records import write_results


@pytest.fixture(scope="session")
def dataset(benchmark_folder):
    return BenchmarkDataset(name="parts", subsets=(open_dataset(benchmark_folder),))


@pytest.fixture
def summed(tmp_path):
    def sum_up(records, **options):
        return summarise_results(write_results(tmp_path / "results", records, **options))

    return sum_up
