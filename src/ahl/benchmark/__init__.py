"""The open-set benchmark: datasets, settings, methods and seeds into one table.

`run_benchmark(Benchmark(...), folder)` measures; what it leaves is read by `report`.
"""

from ahl.benchmark.cells import BenchmarkDataset
from ahl.benchmark.known_methods import METHODS, find_method
from ahl.benchmark.method_types import DetectorMethod, FunctionMethod, Method, Scores
from ahl.benchmark.planning import Benchmark
from ahl.benchmark.problem import Problem
from ahl.benchmark.results import Record, Results
from ahl.benchmark.runner import Outcome, run_benchmark
from ahl.benchmark.specification import MethodSpec

__all__ = [
    "METHODS",
    "Benchmark",
    "BenchmarkDataset",
    "DetectorMethod",
    "FunctionMethod",
    "Method",
    "MethodSpec",
    "Outcome",
    "Problem",
    "Record",
    "Results",
    "Scores",
    "find_method",
    "run_benchmark",
]
