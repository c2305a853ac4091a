"""Open-set supervised anomaly detection for images.

Exports exactly the names that the documents use. Each is imported on first access, so that
`ahl --help` does not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ahl._common.version import __version__

if TYPE_CHECKING:
    from ahl._common.callbacks import Broadcast, Callback
    from ahl._common.errors import (
        AHLError,
        ConfigurationError,
        DataError,
        ImageError,
        ModelFileError,
        NotFittedError,
        ResumeError,
        WeightsError,
    )
    from ahl._common.process_settings import settle_process
    from ahl._common.types import Kind, Sample
    from ahl.apps.advise import advise, sections
    from ahl.apps.logs import JsonLinesLog, MLflowLog, TensorBoardLog
    from ahl.benchmark.baselines.logistic import pooled_features
    from ahl.benchmark.datasets import READERS, DatasetReader, find_reader
    from ahl.benchmark.methods import DetectorMethod, Method
    from ahl.benchmark.problem import Problem
    from ahl.benchmark.protocol import BenchmarkDataset
    from ahl.benchmark.report import write_benchmark_report
    from ahl.benchmark.runner import run_benchmark
    from ahl.benchmark.trials import Benchmark
    from ahl.config import Config, preset
    from ahl.data import (
        Dataset,
        TrainingSplit,
        dataset_of_paths,
        dataset_of_table,
        draw_split,
        open_dataset,
    )
    from ahl.data.with_parts import with_parts
    from ahl.distributions.augment import PseudoAnomalyGenerator, default_generators
    from ahl.estimator import AHL
    from ahl.features.backbones import PACKAGED, Backbone
    from ahl.heads import BaseDetector
    from ahl.heads.losses import deviation_loss
    from ahl.pipeline.settings import RunSettings
    from ahl.scoring.evaluation import evaluate
    from ahl.scoring.opening import open_scorer
    from ahl.scoring.prediction import Prediction
    from ahl.scoring.scorer import Scorer

_PLACES = {
    "_common.callbacks": (
        "Broadcast",
        "Callback",
    ),
    "_common.errors": (
        "AHLError",
        "ConfigurationError",
        "DataError",
        "ImageError",
        "ModelFileError",
        "NotFittedError",
        "ResumeError",
        "WeightsError",
    ),
    "_common.process_settings": ("settle_process",),
    "_common.types": (
        "Kind",
        "Sample",
    ),
    "apps.advise": (
        "advise",
        "sections",
    ),
    "apps.logs": (
        "JsonLinesLog",
        "MLflowLog",
        "TensorBoardLog",
    ),
    "benchmark.baselines.logistic": ("pooled_features",),
    "benchmark.datasets": (
        "READERS",
        "DatasetReader",
        "find_reader",
    ),
    "benchmark.methods": (
        "DetectorMethod",
        "Method",
    ),
    "benchmark.problem": ("Problem",),
    "benchmark.protocol": ("BenchmarkDataset",),
    "benchmark.report": ("write_benchmark_report",),
    "benchmark.runner": ("run_benchmark",),
    "benchmark.trials": ("Benchmark",),
    "config": (
        "Config",
        "preset",
    ),
    "data": (
        "Dataset",
        "TrainingSplit",
        "dataset_of_paths",
        "dataset_of_table",
        "draw_split",
        "open_dataset",
    ),
    "data.with_parts": ("with_parts",),
    "distributions.augment": (
        "PseudoAnomalyGenerator",
        "default_generators",
    ),
    "estimator": ("AHL",),
    "features.backbones": (
        "PACKAGED",
        "Backbone",
    ),
    "heads": ("BaseDetector",),
    "heads.losses": ("deviation_loss",),
    "pipeline.settings": ("RunSettings",),
    "scoring.evaluation": ("evaluate",),
    "scoring.opening": ("open_scorer",),
    "scoring.prediction": ("Prediction",),
    "scoring.scorer": ("Scorer",),
}
_MODULES = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "AHL",
    "PACKAGED",
    "READERS",
    "AHLError",
    "Backbone",
    "BaseDetector",
    "Benchmark",
    "BenchmarkDataset",
    "Broadcast",
    "Callback",
    "Config",
    "ConfigurationError",
    "DataError",
    "Dataset",
    "DatasetReader",
    "DetectorMethod",
    "ImageError",
    "JsonLinesLog",
    "Kind",
    "MLflowLog",
    "Method",
    "ModelFileError",
    "NotFittedError",
    "Prediction",
    "Problem",
    "PseudoAnomalyGenerator",
    "ResumeError",
    "RunSettings",
    "Sample",
    "Scorer",
    "TensorBoardLog",
    "TrainingSplit",
    "WeightsError",
    "__version__",
    "advise",
    "dataset_of_paths",
    "dataset_of_table",
    "default_generators",
    "deviation_loss",
    "draw_split",
    "evaluate",
    "find_reader",
    "open_dataset",
    "open_scorer",
    "pooled_features",
    "preset",
    "run_benchmark",
    "sections",
    "settle_process",
    "with_parts",
    "write_benchmark_report",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - module attributes are of any type
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"ahl.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
