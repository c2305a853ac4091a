"""The small parts as a dataset of the benchmark; read only."""

import pytest

from ahl.benchmark import BenchmarkDataset
from ahl.datasets import open_dataset


@pytest.fixture(scope="session")
def dataset(benchmark_folder):
    return BenchmarkDataset(name="parts", subsets=(open_dataset(benchmark_folder),))
