"""What a benchmark run consists of: batches of cells that share their features."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from ahl._common.errors import ConfigurationError
from ahl.benchmark.cells import (
    BenchmarkDataset,
    Cell,
    Draw,
    make_cell,
    plan_draws,
    plan_transfers,
)
from ahl.benchmark.method_types import Labels, Method
from ahl.benchmark.specification import MethodSpec
from ahl.config import DEFAULT_BACKBONE, Config, default
from ahl.data import Dataset, Setting
from ahl.features.backbones import PACKAGED, Backbone
from ahl.features.backbones.choice import BackboneChoice


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """What to measure.

    Attributes:
        datasets: the datasets.
        methods: specifications of methods.
        settings: of the protocol.
        anomalies: values of M.
        seeds: of the draws.
        backbone: what makes the features.
        config: all constants before the methods' own settings.
        device: where to compute.
        cache: folder of the feature stores, as for `ahl.AHL`.
        further: methods of the caller's own, by which specifications may begin.
        transfer: instead of the settings, train on each dataset and adapt to each other one.
    """

    datasets: Sequence[BenchmarkDataset]
    methods: Sequence[str]
    settings: Sequence[Setting] = ("general",)
    anomalies: Sequence[int] = (10,)
    seeds: Sequence[int] = (0, 1, 2)
    backbone: BackboneChoice = field(
        default_factory=lambda: BackboneChoice(backbone=DEFAULT_BACKBONE)
    )
    config: Config = field(default_factory=default)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    cache: str | Path | None = "auto"
    further: tuple[Method, ...] = ()
    transfer: bool = False


@dataclass(frozen=True, kw_only=True)
class CellBatch:
    """Cells that share their features: one draw, methods with the same labels.

    In a transfer `source` is trained on, and the dataset is the target.
    """

    dataset: Dataset
    source: Dataset | None = None
    draw: Draw
    labels: Labels
    cells: tuple[Cell, ...]


def plan(benchmark: Benchmark, context: dict[str, Any]) -> Iterator[CellBatch]:
    """All cells, draw by draw.

    Raises:
        ConfigurationError: if a method or setting is not known, or cannot be in a transfer.
    """
    specs = [MethodSpec.parse(text, benchmark.further) for text in benchmark.methods]
    own = {d.name: {**context, "dataset": d.fingerprint()} for d in benchmark.datasets}

    def cells(draw: Draw, chosen: Sequence[MethodSpec], values: dict[str, Any]) -> tuple[Cell, ...]:
        return tuple(make_cell(draw, spec, benchmark.config, values) for spec in chosen)

    if benchmark.transfer:
        _check_transfer([spec.method for spec in specs])
        everything = {**context, "datasets": sorted(v["dataset"] for v in own.values())}
        for source, target, draw in plan_transfers(
            benchmark.datasets, benchmark.anomalies, benchmark.seeds
        ):
            yield CellBatch(
                dataset=target,
                source=source,
                draw=draw,
                labels="some classes",
                cells=cells(draw, specs, everything),
            )
        return
    by_labels: dict[Labels, list[MethodSpec]] = {"some classes": [], "every class": []}
    for spec in specs:
        every = spec.method.labels == "every class"
        by_labels["every class" if every else "some classes"].append(spec)
    for dataset in benchmark.datasets:
        for subset, draw in plan_draws(
            dataset, benchmark.settings, benchmark.anomalies, benchmark.seeds
        ):
            for labels, chosen in by_labels.items():
                if chosen:
                    yield CellBatch(
                        dataset=subset,
                        draw=draw,
                        labels=labels,
                        cells=cells(draw, chosen, own[dataset.name]),
                    )


def _check_transfer(methods: Sequence[Method]) -> None:
    bounds = dict.fromkeys(m.name for m in methods if m.labels == "every class")
    others = dict.fromkeys(m.name for m in methods if not m.transfers and m.name not in bounds)
    reasons = []
    if bounds:
        reasons.append(f"train on every class: {', '.join(bounds)}")
    if others:
        reasons.append(f"cannot be adapted to other normals: {', '.join(others)}")
    if reasons:
        raise ConfigurationError(
            f"A transfer cannot be measured with methods that {'; that '.join(reasons)}. Leave "
            "them out."
        )


def run_context(benchmark: Benchmark) -> dict[str, Any]:
    """What all cells depend on beside dataset and config: backbone and device."""
    choice = benchmark.backbone
    if isinstance(choice.backbone, Backbone):
        backbone: dict[str, Any] = asdict(choice.backbone.describe())
    else:
        backbone = {
            "name": choice.backbone,
            "weights": _weights_identity(choice),
            "arguments": {key: repr(value) for key, value in sorted(choice.arguments.items())},
            "stages": choice.stages,
        }
    return {"backbone": backbone, "device": benchmark.device.type}


def _weights_identity(choice: BackboneChoice) -> str:
    if choice.weights is not None:
        return _file_hash(choice.weights)
    packaged = PACKAGED.get(str(choice.backbone))
    return packaged.sha256 if packaged else "timm"


def _file_hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigurationError(f"The weights {path} cannot be read: {error.strerror}.") from error
