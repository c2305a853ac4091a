"""Advice on a labelled folder: what helps, what is wrong, what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ahl._common.callbacks import Callback
from ahl._common.devices import resolve_device
from ahl._common.errors import ConfigurationError, DataError
from ahl._common.text import counted
from ahl._common.types import GOOD, Sample, Skipped
from ahl.apps.advise.figures import Indices, Ranking, mean_ranking
from ahl.apps.advise.image_size import SizeAdvice, advise_size, compare_sizes
from ahl.apps.advise.labels import (
    LabelAdvice,
    LearningCurve,
    Suspect,
    compare_labels,
    find_suspects,
    measure_curve,
)
from ahl.apps.advise.trials import FOLDS, Progress, Setup, Trials, open_trials, out_of_fold
from ahl.config import DEFAULT_BACKBONE, Config, default
from ahl.data import Dataset, open_dataset
from ahl.data.copies import Copy, find_copies
from ahl.data.folders import by_name
from ahl.data.images.variety import notes_on_numbers
from ahl.data.parts import number_parts, tell_parts, with_copies_together
from ahl.data.pictures import Picture, look_at
from ahl.features.backbones import Backbone
from ahl.features.backbones.choice import BackboneChoice
from ahl.features.extractor import FeatureExtractor
from ahl.features.sizing import with_size
from ahl.heads import BaseDetector, find_detector

FEWEST_NORMALS = 15
"""Fewest different good images: two thirds of them can train and calibrate a detector."""

_REPEATS = 2  # draws of the folds: each image is judged by so many detectors of each kind


@dataclass(frozen=True, kw_only=True, eq=False)
class Advice:
    """Advice on a labelled folder; what cannot be measured is None (`notes` say why).

    Attributes:
        data: name of the folder.
        heads: name of the base detector that was trained.
        images: readable images by class.
        skipped: those that could not be read.
        copies: images that are there twice, contradictions of the labels first.
        labels: gain from the labels over good images alone.
        curve: gain from more labels, and loss on a new kind.
        suspects: images that look mislabelled, likeliest first.
        suspected: number of all suspects by class, as the list is cut off.
        size: the image size against originals and defects.
        notes: what could not be measured, and why.
        of_test: how many of the images are in the `test/` of a benchmark layout. They train the
            trials, so that a choice made by this advice is not blind to that test.
        trained_anomalies: labelled defects that the answers are for; None: all of them.
    """

    data: str
    heads: str
    images: dict[str, int]
    skipped: tuple[Skipped, ...]
    copies: tuple[Copy, ...]
    labels: LabelAdvice | None
    curve: LearningCurve | None
    suspects: tuple[Suspect, ...]
    suspected: dict[str, int]
    size: SizeAdvice
    notes: tuple[str, ...]
    of_test: int
    trained_anomalies: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """All figures as JSON values."""
        return asdict(self)


def advise(
    data: str | Path | Dataset,
    *,
    heads: str | type[BaseDetector] = "devnet",
    backbone: str | Backbone = DEFAULT_BACKBONE,
    weights: str | Path | None = None,
    backbone_arguments: Mapping[str, Any] | None = None,
    stages: Sequence[int] | None = None,
    config: Config | None = None,
    anomalies: int | None = None,
    quick: bool = False,
    seed: int = 0,
    device: str = "auto",
    cache: str | Path | None = "auto",
    group_by: str | None = None,
    callback: Callback | None = None,
) -> Advice:
    """Measure what the labels of a folder are worth, and what looks wrong with its images.

    Trains the base detector many times on parts of the images, without episodes, with the memory
    and the calibration; on at most 300 good images at once.

    Args:
        data: a folder in one of the two layouts, or an opened dataset.
        heads: the base detector; `ahl.AHL` has `"dra"` by default, which takes several times as
            long.
        backbone: as for `ahl.AHL`.
        weights: local weights.
        backbone_arguments: of the backbone.
        stages: of the backbone.
        config: all constants; None takes the preset `default`.
        anomalies: labelled defects that the training will have, of which trials draw at most so
            many; None for all.
        quick: judge each image once, measure only the end of the learning curve, and no larger
            image size.
        seed: of every draw.
        device: `"auto"`, `"cpu"` or `"cuda"`.
        cache: folder of cached features, as for `ahl.AHL`.
        group_by: as in `ahl.data.parts.part_of`; photographs of one part are held out together.
        callback: receives progress and what is skipped.

    Raises:
        DataError: if the folder has no layout, no good image, or nothing that can be read.
        ConfigurationError: if an argument has a value that cannot work.
        WeightsError: if the backbone's weights cannot be loaded.

    Examples:
        >>> from ahl import advise, preset, sections
        >>> advice = advise("parts", quick=True, config=preset("default", image_size=64))
        >>> [section.title for section in sections(advice)][:2]
        ['What was checked', 'Are there duplicate images?']
    """
    if not 0 <= seed < 2**32:
        raise ConfigurationError(f"seed is {seed!r}; it must be from 0 to 2**32 - 1.")
    if anomalies is not None and anomalies < 1:
        raise ConfigurationError(f"anomalies is {anomalies}; it must be 1 at least.")
    callback = callback or Callback()
    if isinstance(data, Dataset):
        dataset = data
    else:
        dataset = open_dataset(Path(data))
        for note in dataset.notes:
            callback.on_note(note)
    built = BackboneChoice(
        backbone=backbone,
        weights=None if weights is None else Path(weights),
        arguments=dict(backbone_arguments or {}),
        stages=None if stages is None else tuple(stages),
    ).build()
    normals = [sample.source for sample in dataset.train_normals]
    setup = Setup(
        backbone=built,
        config=with_size(config or default(), built, normals, callback=callback),
        detector=find_detector(heads),
        seed=seed,
        anomalies=anomalies,
        device=resolve_device(device),
        cache=cache,
        callback=callback,
    )
    for note in notes_on_numbers(normals, setup.config.features.bit_depth):
        callback.on_note(note)
    samples = by_name((*dataset.train_normals, *dataset.test_normals, *dataset.anomalies))
    if group_by is not None:
        samples = tell_parts(samples, group_by)
    pictures, skipped = look_at(samples, callback, setup.config.features.bit_depth)
    for one in skipped:
        callback.on_skipped(one)
    if not pictures:
        raise DataError(
            f"None of the {len(skipped)} images in {dataset.root} can be read "
            f"({skipped[0].name}: {skipped[0].reason})."
        )
    found = find_copies(pictures, callback)
    readable = with_copies_together([one.sample for one in pictures], found.pairs)
    groups = number_parts(one.part for one in readable)
    size = _advise_size(setup, pictures)
    labels = curve = None
    suspects: tuple[Suspect, ...] = ()
    suspected: dict[str, int] = {}
    notes = tuple(_too_few(pictures, groups))
    if not notes:
        with open_trials(readable, groups, setup) as trials:
            first, labelled, memory, linear = _rankings(trials, 1 if quick else _REPEATS)
            labels = compare_labels(labelled, memory)
            suspects, suspected = find_suspects(trials.samples, labelled, linear)
            curve = measure_curve(trials, first, quick=quick)
            if size.originals_larger and not quick:
                size = compare_sizes(size, trials, first)
    return Advice(
        data=dataset.name,
        heads=setup.detector.name,
        images=dict(sorted(Counter(one.sample.class_name for one in pictures).items())),
        skipped=tuple(skipped),
        copies=found.copies,
        labels=labels,
        curve=curve,
        suspects=suspects,
        suspected=suspected,
        size=size,
        notes=notes,
        of_test=sum(one.sample.name.startswith("test/") for one in pictures)
        if dataset.layout == "benchmark"
        else 0,
        trained_anomalies=anomalies,
    )


def _advise_size(setup: Setup, pictures: Sequence[Picture[Sample]]) -> SizeAdvice:
    features = setup.config.features
    _, *grid = FeatureExtractor(setup.backbone, features, setup.device).layout.scales[0]
    return advise_size(
        pictures,
        features.size,
        (grid[0], grid[1]),
        tiles=features.tiles,
        step=setup.backbone.multiple if features.tiles else 32,
    )


def _rankings(trials: Trials, repeats: int) -> tuple[Ranking, Ranking, Ranking, Ranking]:
    """Rankings by labelled detectors (first draw; all draws), memory, and linear classifiers."""
    stage = "held-out images, trainings"
    progress = Progress(stage, FOLDS * repeats, trials.setup.callback)
    labelled = [out_of_fold(trials, trials.labelled, r, progress) for r in range(repeats)]
    memory, linear = (
        mean_ranking([out_of_fold(trials, score, r) for r in range(repeats)])
        for score in (trials.memory_only, trials.linear)
    )
    return labelled[0], mean_ranking(labelled), memory, linear


def _too_few(pictures: Sequence[Picture[Sample]], groups: Indices) -> Iterator[str]:
    """Reasons why there are too few images to hold any out, if there are."""
    anomalous = np.array([picture.sample.is_anomaly for picture in pictures])
    normals, anomalies = (len(np.unique(groups[anomalous == label])) for label in (False, True))
    if normals < FEWEST_NORMALS:
        yield (
            f"{counted(normals, 'good image', 'are')} too few (each part counts once): "
            f"{FEWEST_NORMALS} are needed to hold some out, and some dozens for reliable answers. "
            "Only copies and sizes were checked."
        )
    if anomalies == 0:
        yield (
            "There is no labelled defect: put images of one kind into a folder named after it, "
            f"beside {GOOD}/. Only copies and sizes were checked."
        )
    elif anomalies == 1:
        yield (
            "There is one labelled defect. It cannot be held out and trained on at once, so "
            "neither the gain from labels nor wrong labels can be measured; two defects are "
            "enough. Only copies and sizes were checked."
        )
