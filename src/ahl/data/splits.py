"""Training and test splits of a dataset, by the open-set protocol.

A few labelled anomalies are drawn for training. In the general setting they come from all
classes and the rest is tested; in the hard setting they come from one known class and only
the other classes are tested.

Photographs of one part (`Sample.part`) are never on both sides: the normals are split by parts, and
no test image shows a part that is trained on. An image without a part counts as one of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal, get_args

import numpy as np

from ahl._common.errors import ConfigurationError, DataError
from ahl._common.types import Sample
from ahl.data.folders import Dataset, by_name
from ahl.data.parts import Parts, number_parts

Setting = Literal["general", "hard"]

Drawn = Literal["all", "general", "hard"]
"""Choice of the training anomalies: all of them, or a draw in one of the settings."""

_BENCHMARK_ANOMALIES = 10
# The protocol fixes both, so that every method and seed tests the same normals.
_TEST_SHARE = 0.25
_TEST_STATE = 42


@dataclass(frozen=True, kw_only=True)
class TrainingSplit:
    """One draw of a dataset; the three tuples share no sample and are sorted by name.

    No part is both in training and in the test.

    Attributes:
        normals: normal images to train on, at least one.
        anomalies: labelled anomalies to train on; empty only for the target of a transfer.
        test: normal and anomalous images to test on; empty if all images are trained on.
        drawn: how the anomalies were chosen.
        known_class: in the hard setting, the class they were drawn from.
        left_out: number of images not tested because training has a photograph of the same part.
        group_by: as in `Dataset`.
        found: as in `Dataset`.
    """

    normals: tuple[Sample, ...]
    anomalies: tuple[Sample, ...]
    test: tuple[Sample, ...]
    drawn: Drawn
    known_class: str | None
    left_out: int = 0
    group_by: str | None = None
    found: Parts[Sample] | None = field(default=None, compare=False, repr=False)


def draw_split(
    dataset: Dataset,
    *,
    anomalies: int | None,
    setting: Setting = "general",
    known_class: str | None = None,
    seed: int = 0,
) -> TrainingSplit:
    """Draw the training anomalies and split off a test.

    Anomalies are drawn image by image. Other photographs of a drawn part, and test images of a part
    with normal photographs in training, are left out and counted.

    Args:
        dataset: the dataset to split.
        anomalies: number of anomalies to draw, without replacement. None takes all images of an
            inspection layout for training, leaving no test, and draws 10 from a benchmark layout.
        setting: `"general"` or `"hard"`.
        known_class: in the hard setting, the class to draw from.
        seed: seed of the draw, at least 0. The split of the normals does not depend on it.

    Returns:
        The split; the same dataset and arguments give the same split.

    Raises:
        ConfigurationError: if an argument is invalid, or they contradict each other.
        DataError: if the dataset has too few images or too few parts for them.

    Examples:
        >>> from pathlib import Path
        >>> from ahl import draw_split, open_dataset
        >>> split = draw_split(open_dataset(Path("parts")), anomalies=2)
        >>> len(split.anomalies)
        2
    """
    _check_arguments(dataset, anomalies, setting, known_class, seed)
    if not dataset.anomalies:
        raise DataError(
            f"{dataset.name} has no anomalies; at least one labelled anomaly is needed, in "
            f"{'test/<kind>/' if dataset.layout == 'benchmark' else '<kind>/ beside good/'}."
        )
    if anomalies is None and dataset.layout == "inspection":
        return TrainingSplit(
            normals=dataset.train_normals,
            anomalies=dataset.anomalies,
            test=(),
            drawn="all",
            known_class=None,
            group_by=dataset.group_by,
            found=dataset.found,
        )
    count = _BENCHMARK_ANOMALIES if anomalies is None else anomalies
    pool, others = _pools(dataset, count, known_class)
    drawn, rest = _draw(pool, count, np.random.default_rng(seed))
    return _with_test(dataset, drawn, others or rest, setting, known_class)


def draw_every_class(
    dataset: Dataset,
    *,
    anomalies: int,
    setting: Setting = "general",
    known_class: str | None = None,
    seed: int = 0,
) -> TrainingSplit:
    """Draw training anomalies of every class, for an upper bound that has seen all classes.

    `anomalies` are drawn from each class, but at most half of its images. In the hard setting the
    known class is not tested. The rest is as in `draw_split`.

    Raises:
        ConfigurationError: as `draw_split`.
        DataError: as `draw_split`, or if no class has two images.
    """
    _check_arguments(dataset, anomalies, setting, known_class, seed)
    random = np.random.default_rng(seed)
    trained: tuple[Sample, ...] = ()
    tested: tuple[Sample, ...] = ()
    for name in dataset.classes:
        pool = tuple(sample for sample in dataset.anomalies if sample.class_name == name)
        drawn, rest = _draw(pool, min(anomalies, len(pool) // 2), random)
        trained += drawn
        if name != known_class:
            tested += rest
    if not trained or not tested:
        raise DataError(f"{dataset.name} has no anomaly class with images to train and to test on.")
    return _with_test(dataset, trained, tested, setting, known_class)


def _with_test(
    dataset: Dataset,
    anomalies: tuple[Sample, ...],
    tested: tuple[Sample, ...],
    setting: Setting,
    known_class: str | None,
) -> TrainingSplit:
    """Complete the split with the normals, without test images of parts that are trained on."""
    normals, test_normals = split_normals(dataset)
    given = by_name((*test_normals, *tested))
    test = of_other_parts(given, (*normals, *anomalies))
    for kind, is_anomaly in (("anomalies", True), ("normal images", False)):
        before, after = (sum(s.is_anomaly == is_anomaly for s in part) for part in (given, test))
        if before and not after:
            raise DataError(
                f"All {before} {kind} of {dataset.name} that are left to test show parts that are "
                "trained on. Add photographs of other parts, or draw fewer anomalies."
            )
    return TrainingSplit(
        normals=normals,
        anomalies=by_name(anomalies),
        test=test,
        drawn=setting,
        known_class=known_class,
        left_out=len(given) - len(test),
        group_by=dataset.group_by,
        found=dataset.found,
    )


def of_other_parts(samples: Iterable[Sample], trained: Iterable[Sample]) -> tuple[Sample, ...]:
    """The samples of parts that are not trained on."""
    parts = {sample.part for sample in trained} - {None}
    return tuple(sample for sample in samples if sample.part not in parts)


def _draw(
    pool: tuple[Sample, ...], count: int, random: np.random.Generator
) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Draw `count` samples without replacement; return them and the others."""
    chosen = {int(index) for index in random.choice(len(pool), size=count, replace=False)}
    drawn = tuple(sample for index, sample in enumerate(pool) if index in chosen)
    return drawn, tuple(sample for index, sample in enumerate(pool) if index not in chosen)


def _check_arguments(
    dataset: Dataset, anomalies: int | None, setting: str, known_class: str | None, seed: int
) -> None:
    if setting not in get_args(Setting):
        raise ConfigurationError(f"setting is {setting!r}; it must be 'general' or 'hard'.")
    if anomalies is not None and anomalies < 1:
        raise ConfigurationError(
            f"anomalies is {anomalies}; it must be at least 1 "
            f"({dataset.name} has {len(dataset.anomalies)})."
        )
    if seed < 0:
        raise ConfigurationError(f"seed is {seed}; it must be at least 0.")
    if setting == "general":
        if known_class is not None:
            raise ConfigurationError(
                f"known_class is {known_class!r}, which only the hard setting uses; "
                "choose setting 'hard' or leave known_class out."
            )
        return
    if anomalies is None and dataset.layout == "inspection":
        raise ConfigurationError(
            "The hard setting draws a number of anomalies; give it by anomalies (--anomalies M)."
        )
    if dataset.anomalies and known_class not in dataset.classes:
        count = _BENCHMARK_ANOMALIES if anomalies is None else anomalies
        raise ConfigurationError(
            f"known_class is {known_class!r}; the hard setting needs a class of {dataset.name} "
            f"with more than {count} image(s): {_usable_classes(dataset, count)}."
        )


def _pools(
    dataset: Dataset, count: int, known_class: str | None
) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Anomalies to draw from, and those of other classes; checks that some are left to test."""
    ordered = dataset.anomalies
    if known_class is None:
        if len(ordered) <= count:
            raise DataError(
                f"{dataset.name} has {len(ordered)} anomalies; drawing {count} leaves none "
                "to test. Set a lower --anomalies, or add labelled anomalies."
            )
        return ordered, ()
    pool = tuple(sample for sample in ordered if sample.class_name == known_class)
    others = tuple(sample for sample in ordered if sample.class_name != known_class)
    if len(pool) <= count:
        raise DataError(
            f"Class {known_class} of {dataset.name} has {len(pool)} image(s); the hard setting "
            f"needs more than the {count} drawn. Classes that have: "
            f"{_usable_classes(dataset, count)}. Set --anomalies lower or choose one of them."
        )
    if not others:
        raise DataError(
            f"{known_class} is the only anomaly class of {dataset.name}; the hard setting tests "
            "the other classes. Use the general setting."
        )
    return pool, others


def split_normals(dataset: Dataset) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Split the normals into training and test normals, the same for every method and seed.

    A quarter of the parts is tested. In the benchmark layout the dataset's own split is kept, which
    may share parts; see `of_other_parts`.

    Raises:
        DataError: if the normal images of the inspection layout show fewer than two parts.
    """
    normals = dataset.train_normals
    if dataset.layout == "benchmark":
        return normals, dataset.test_normals
    parts: dict[int, list[Sample]] = {}
    for number, sample in zip(number_parts(s.part for s in normals), normals, strict=True):
        parts.setdefault(int(number), []).append(sample)
    if len(parts) < 2:
        shown = "" if len(normals) < 2 else " of one part"
        raise DataError(
            f"{dataset.name} has {len(normals)} normal image(s){shown}; a test needs at least 2"
            f"{' parts' if shown else ''}. "
            "Add some, or leave --anomalies out to train on everything."
        )
    from sklearn.model_selection import train_test_split

    train, test = train_test_split(
        list(parts.values()), test_size=_TEST_SHARE, random_state=_TEST_STATE
    )
    return by_name(chain(*train)), by_name(chain(*test))


def _usable_classes(dataset: Dataset, count: int) -> str:
    sizes = Counter(sample.class_name for sample in dataset.anomalies)
    return ", ".join(name for name in dataset.classes if sizes[name] > count) or "none"
