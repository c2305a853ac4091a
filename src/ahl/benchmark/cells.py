"""What the benchmark computes: cells, in the order they are computed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ahl._common.errors import DataError
from ahl.benchmark.specification import MethodSpec
from ahl.config import Config
from ahl.data import Dataset, Setting

BENCHMARK_VERSION = 3
"""Raised when a method or the protocol changes so that equal configs give other figures."""


@dataclass(frozen=True, kw_only=True)
class Draw:
    """One draw of training anomalies: what several methods are compared on.

    Attributes:
        dataset: name of the benchmark dataset, or of the folder.
        subset: name of one part where the dataset has several (MVTec's categories), else "".
        setting: of the protocol.
        known_class: in the hard setting, the class that is drawn from; else "".
        anomalies: M.
        seed: of the draw and of the methods.
        source: in a transfer, the dataset (and part) that is trained on; else "".
    """

    dataset: str
    subset: str
    setting: Setting
    known_class: str
    anomalies: int
    seed: int
    source: str = ""

    @property
    def label(self) -> str:
        """For people."""
        place = "/".join(part for part in (self.dataset, self.subset, self.known_class) if part)
        origin = f" from {self.source}" if self.source else ""
        return f"{place}{origin} {self.setting} M={self.anomalies} seed {self.seed}"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One figure: a method on a draw.

    Attributes:
        draw: what it is measured on.
        spec: the method.
        key: identity of all that the figure depends on.
        config: all constants.
    """

    draw: Draw
    spec: MethodSpec
    key: str
    config: Config


@dataclass(frozen=True, kw_only=True)
class BenchmarkDataset:
    """A dataset to be measured on.

    Attributes:
        name: in the tables.
        subsets: its parts; one for most datasets.
        hard_classes: classes the protocol names for the hard setting; None for all.
        hard_subsets: parts the protocol names for the hard setting; None for all.
    """

    name: str
    subsets: tuple[Dataset, ...]
    hard_classes: tuple[str, ...] | None = None
    hard_subsets: tuple[str, ...] | None = None

    def fingerprint(self) -> str:
        """Identity of the files: names, classes and sizes; contents are not read.

        How a reader splits them is part of the code: `BENCHMARK_VERSION` stands for it.

        Raises:
            DataError: if a file has gone.
        """
        digest = hashlib.sha256()
        for subset in self.subsets:
            for group in (subset.train_normals, subset.test_normals, subset.anomalies):
                for sample in group:
                    try:
                        size = sample.path.stat().st_size
                    except OSError as error:
                        raise DataError(f"{sample.path}: {error.strerror}.") from error
                    digest.update(f"{sample.name}\t{sample.class_name}\t{size}\n".encode())
        return digest.hexdigest()


def plan_draws(
    dataset: BenchmarkDataset,
    settings: Sequence[Setting],
    anomalies: Sequence[int],
    seeds: Sequence[int],
) -> Iterator[tuple[Dataset, Draw]]:
    """Every draw of the protocol that a dataset has enough images for.

    General: more than M anomalies. Hard: one draw a class with more than M images, where another
    class is left to test.
    """
    for setting in settings:
        for count in anomalies:
            for subset in dataset.subsets:
                for known in _known_classes(dataset, subset, setting, count):
                    for seed in seeds:
                        yield (
                            subset,
                            Draw(
                                dataset=dataset.name,
                                subset=subset.name if len(dataset.subsets) > 1 else "",
                                setting=setting,
                                known_class=known,
                                anomalies=count,
                                seed=seed,
                            ),
                        )


def plan_transfers(
    datasets: Sequence[BenchmarkDataset], anomalies: Sequence[int], seeds: Sequence[int]
) -> Iterator[tuple[Dataset, Dataset, Draw]]:
    """Every ordered pair of parts with enough anomalies in the first: source, target, draw.

    The paper's table 3: general setting on the source, no label from the target.
    """
    parts = [
        (dataset.name, subset.name if len(dataset.subsets) > 1 else "", subset)
        for dataset in datasets
        for subset in dataset.subsets
    ]
    for count in anomalies:
        for source_name, source_part, source in parts:
            for name, part, target in parts:
                if source is target or len(source.anomalies) <= count:
                    continue
                for seed in seeds:
                    draw = Draw(
                        dataset=name,
                        subset=part,
                        setting="general",
                        known_class="",
                        anomalies=count,
                        seed=seed,
                        source="/".join(filter(None, (source_name, source_part))),
                    )
                    yield source, target, draw


def _known_classes(
    dataset: BenchmarkDataset, subset: Dataset, setting: Setting, count: int
) -> list[str]:
    if setting == "general":
        return [""] if len(subset.anomalies) > count else []
    if dataset.hard_subsets is not None and subset.name not in dataset.hard_subsets:
        return []
    if len(subset.classes) < 2:
        return []
    sizes = {
        name: sum(sample.class_name == name for sample in subset.anomalies)
        for name in subset.classes
    }
    allowed = subset.classes if dataset.hard_classes is None else dataset.hard_classes
    return [name for name, size in sizes.items() if size > count and name in allowed]


def make_cell(draw: Draw, spec: MethodSpec, config: Config, context: dict[str, Any]) -> Cell:
    """A cell with its key.

    Args:
        draw: what it is measured on.
        spec: the method.
        config: the run's config, before the method's own settings.
        context: what else the figure depends on, as JSON values: dataset, backbone, device.
    """
    own = spec.configure(config)
    values: dict[str, Any] = {
        "version": BENCHMARK_VERSION,
        "draw": asdict(draw),
        "method": spec.method.name,
        "config": own.to_dict(),
        "context": context,
    }
    if spec.settings and own == spec.plain(
        config
    ):  # a row of its own in a sweep, though nothing differs
        values["restated"] = sorted(f"{name}={value!r}" for name, value in spec.settings)
    text = json.dumps(values, sort_keys=True)
    return Cell(
        draw=draw, spec=spec, key=hashlib.sha256(text.encode()).hexdigest()[:24], config=own
    )
