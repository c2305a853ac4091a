"""The protocol: datasets, and the draws of training anomalies to compare variants on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

from ahl._common.callbacks import Callback
from ahl._common.errors import DataError
from ahl._common.text import counted
from ahl.data import Dataset, Setting
from ahl.data.images.numbers import FULL_DEPTH
from ahl.data.with_parts import with_parts

TOGETHER: Final = ", parts together"
"""Suffix of a dataset's name if photographs of one part stay on one side of its splits."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkDataset:
    """A dataset of the benchmark.

    Attributes:
        name: its name in the tables.
        subsets: datasets that it consists of, such as MVTec AD's categories; mostly one.
        hard_classes: classes that the protocol names for the hard setting; None for all.
        hard_subsets: names of the subsets for the hard setting; None for all.
    """

    name: str
    subsets: tuple[Dataset, ...]
    hard_classes: tuple[str, ...] | None = None
    hard_subsets: tuple[str, ...] | None = None

    def fingerprint(self) -> str:
        """Hash of the images' names, classes, file sizes and parts; contents are not read.

        A reader's split is part of the code, for which `BENCHMARK_VERSION` stands.

        Raises:
            DataError: if a file no longer exists.
        """
        digest = hashlib.sha256()
        for subset in self.subsets:
            for sample in (*subset.train_normals, *subset.test_normals, *subset.anomalies):
                try:
                    size = sample.path.stat().st_size
                except OSError as error:
                    raise DataError(f"{sample.path}: {error.strerror}.") from error
                part = "" if sample.part is None else f"\t{sample.part}"
                line = f"{sample.name}\t{sample.class_name}\t{size}{part}\n"
                digest.update(line.encode(errors="surrogateescape"))
        return digest.hexdigest()

    def name_of(self, subset: Dataset) -> str:
        """The subset's name if the dataset has several, else ""."""
        return subset.name if len(self.subsets) > 1 else ""

    def known_classes(self, subset: Dataset, setting: Setting, count: int) -> list[str]:
        """Classes from which `count` anomalies can be drawn so that some are left to test.

        In the general setting [""], which stands for all classes together.
        """
        if setting == "general":
            return [""] if len(subset.anomalies) > count else []
        if self.hard_subsets is not None and subset.name not in self.hard_subsets:
            return []
        if len(subset.classes) < 2:
            return []
        names = [sample.class_name for sample in subset.anomalies]
        allowed = subset.classes if self.hard_classes is None else self.hard_classes
        return [c for c in subset.classes if names.count(c) > count and c in allowed]


def with_kept_together(
    datasets: Sequence[BenchmarkDataset],
    callback: Callback,
    *,
    group_by: str | None = None,
    bit_depth: int = FULL_DEPTH,
) -> list[BenchmarkDataset]:
    """Add, behind each dataset, a version that keeps photographs of one part on one side of splits.

    A dataset in which no two images show the same part is not repeated.

    Args:
        datasets: the datasets as published.
        callback: receives progress, and a note on the copies and parts of each dataset.
        group_by: as in `ahl.data.parts.part_of`; None: only copies show the same part.
        bit_depth: as for `read_pixels`.

    Raises:
        ConfigurationError: if `group_by` is not a regular expression.
    """
    both = []
    for dataset in datasets:
        both.append(dataset)
        found = [
            with_parts(one, callback, group_by=group_by, bit_depth=bit_depth)
            for one in dataset.subsets
        ]
        shared = sum(parts.shared for _, parts in found)
        images = sum(len(parts.images) for _, parts in found)
        copies = sum(len(parts.copies) for _, parts in found)
        unmatched = sum(parts.unmatched or 0 for _, parts in found)
        note = f"{dataset.name}: {counted(copies, 'pair')} of copies found; {shared} of {images} "
        note += "images share their part with others"
        note += f"; {unmatched} not matched by --group-by" if unmatched else ""
        callback.on_note(f"{note}: {'measured both ways' if shared else 'measured once'}.")
        if shared:
            together = tuple(told for told, _ in found)
            both.append(replace(dataset, name=dataset.name + TOGETHER, subsets=together))
    return both


@dataclass(frozen=True, kw_only=True)
class Draw:
    """One draw of training anomalies, on which several variants are compared.

    Attributes:
        dataset: name of the benchmark dataset, or of the folder.
        subset: name of the subset if the dataset has several (MVTec's categories), else "".
        setting: the protocol's setting, general or hard.
        known_class: in the hard setting, the class that anomalies are drawn from; else "".
        anomalies: number M of training anomalies.
        seed: seed of the draw and of the methods.
        source: in a transfer, the dataset (and subset) to train on; else "".
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
        """The draw in words."""
        place = "/".join(part for part in (self.dataset, self.subset, self.known_class) if part)
        origin = f" from {self.source}" if self.source else ""
        return f"{place}{origin} {self.setting} M={self.anomalies} seed {self.seed}"


def plan_draws(
    dataset: BenchmarkDataset,
    settings: Sequence[Setting],
    anomalies: Sequence[int],
    seeds: Sequence[int],
) -> Iterator[tuple[Dataset, Draw]]:
    """Yield every draw of the protocol that a dataset has enough images for, with its subset.

    General: more than M anomalies. Hard: one draw for each class with more than M images, if the
    subset has another class to test.
    """
    for setting, count, subset in product(settings, anomalies, dataset.subsets):
        for known, seed in product(dataset.known_classes(subset, setting, count), seeds):
            yield (
                subset,
                Draw(
                    dataset=dataset.name,
                    subset=dataset.name_of(subset),
                    setting=setting,
                    known_class=known,
                    anomalies=count,
                    seed=seed,
                ),
            )


def plan_transfers(
    datasets: Sequence[BenchmarkDataset], anomalies: Sequence[int], seeds: Sequence[int]
) -> Iterator[tuple[Dataset, Dataset, Draw]]:
    """Yield source, target and draw for every ordered pair whose source has more than M anomalies.

    As in the paper's table 3: the general setting on the source, no label from the target.
    """
    subsets = [(whole, subset) for whole in datasets for subset in whole.subsets]
    for count, (source_whole, source), (whole, target) in product(anomalies, subsets, subsets):
        if source is target or len(source.anomalies) <= count:
            continue
        origin = "/".join(filter(None, (source_whole.name, source_whole.name_of(source))))
        for seed in seeds:
            draw = Draw(
                dataset=whole.name,
                subset=whole.name_of(target),
                setting="general",
                known_class="",
                anomalies=count,
                seed=seed,
                source=origin,
            )
            yield source, target, draw
