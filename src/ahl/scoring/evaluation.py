"""Evaluation of a trained model on a labelled dataset, by the open-set protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ahl._common.callbacks import Callback
from ahl._common.errors import DataError, ImageError
from ahl._common.text import counted
from ahl._common.types import GOOD, Sample, ScoredSample, Skipped
from ahl.data import Dataset
from ahl.data.images.reading import content_hash
from ahl.features.store import store_root
from ahl.model.decision import Decision
from ahl.model.manifest import TrainingFile
from ahl.model.trained import TrainedModel
from ahl.scoring.localisation import PixelFigures
from ahl.scoring.measurement import (
    keep_measurement,
    measure,
    measurement_file,
    read_measurement,
)
from ahl.scoring.metrics import Figures, auroc_against_normals, open_set_figures
from ahl.scoring.torch_scorer import TorchScorer


@dataclass(frozen=True, kw_only=True)
class ClassResult:
    """Results of one class of the test.

    Attributes:
        count: number of images scored.
        seen: True if the class had a training example (False for `good`).
        auroc: AUROC against the test's normal images; None for `good` or without normals.
        called_anomalous: number of images above the model's threshold; None without one.
    """

    count: int
    seen: bool
    auroc: float | None
    called_anomalous: int | None


@dataclass(frozen=True, kw_only=True)
class LabelConflict:
    """A tested image that is a copy of a training image with the other label.

    Attributes:
        name: name of the tested image.
        class_name: its class.
        trained: name of the training image.
        trained_class: its class.
    """

    name: str
    class_name: str
    trained: str
    trained_class: str

    @classmethod
    def between(cls, sample: Sample, file: TrainingFile) -> Self | None:
        """The conflict between two copies; None if both are good or both are defects."""
        if sample.is_anomaly == (file.class_name != GOOD):
            return None
        return cls(
            name=sample.name,
            class_name=sample.class_name,
            trained=file.name,
            trained_class=file.class_name,
        )

    def in_words(self) -> str:
        """The conflict as a sentence without its full stop."""
        return (
            f"{self.name} ({self.class_name}) is almost the same picture as {self.trained}, which "
            f"was trained on as {self.trained_class}: one of the labels may be wrong"
        )


@dataclass(frozen=True, kw_only=True)
class Evaluation(Figures):
    """Figures of an evaluation, and the numbers of images behind them.

    Attributes:
        threshold: the model's threshold; None without one.
        classes: results by class name, `good` first, then by name.
        left_out: number of images not tested because the model was trained on them.
        left_out_known_class: number of images of the known class, which the hard setting does not
            test.
        threshold_images: number of tested good images that the threshold was set on: their share
            above it was chosen, not measured. The model may not know all if there were over 512.
        skipped: images that could not be read.
        scored: every tested image with its score.
        trained_parts: number of tested images of parts that the model was trained on, by copies,
            names or groups; the training images themselves are not tested.
        of_new_parts: the figures without these; None if there are none, or no others.
        pixels: figures of the heat maps, at the model's image size; None if no tested anomaly has
            a mask.
        conflicts: good images that are copies of training defects, and the reverse.
    """

    threshold: float | None
    classes: dict[str, ClassResult]
    left_out: int
    left_out_known_class: int
    threshold_images: int
    skipped: tuple[Skipped, ...]
    scored: tuple[ScoredSample, ...]
    trained_parts: int = 0
    of_new_parts: Figures | None = None
    pixels: PixelFigures | None = None
    conflicts: tuple[LabelConflict, ...] = ()


def evaluate(
    scorer: TorchScorer,
    dataset: Dataset,
    *,
    progress: Callable[[int, int], None] | None = None,
    group_by: str | None = None,
    cache: str | Path | None = None,
    callback: Callback | None = None,
) -> Evaluation:
    """Score a dataset's test images and compute the figures.

    The test of a benchmark layout is its `test` folder, that of an inspection layout all its
    images. Images whose content the model was trained on are left out, whatever their name. Other
    photographs of the same parts are tested; the result also has figures without them.

    Args:
        scorer: the trained model with its backbone, `AHL.scorer`.
        dataset: the labelled images.
        progress: called with (done, total).
        group_by: expression that reads parts from names, as in `ahl.data.parts.part_of`; None: the
            one of the training, if any.
        cache: folder of the cache, as for `RunSettings`: a model does not score the same images,
            masks and labels twice, whatever its threshold. None does not use the cache.
        callback: receives notes, and the progress of comparing with the training images.

    Raises:
        ConfigurationError: if `group_by` is not a regular expression.
        DataError: if no image is left to test.

    Examples:
        >>> from pathlib import Path
        >>> from ahl import AHL, dataset_of_paths, evaluate
        >>> detector = AHL.load("parts.ahl")
        >>> result = evaluate(detector.scorer, dataset_of_paths(["new"], {"hole": ["parts/hole"]}))
        >>> result.classes["good"].count
        2
    """
    manifest, callback = scorer.model.manifest, callback or Callback()
    samples = [*dataset.test_normals, *dataset.anomalies]
    if dataset.layout == "inspection":
        samples += dataset.train_normals
    chosen = _choose(sorted(samples, key=lambda s: s.name), scorer.model)
    tested, root = chosen.tested, store_root(cache, callback)
    if not tested:
        raise DataError(
            f"Nothing in {dataset.root} is left to test: the model was trained on all of its "
            "readable images. Evaluate on images that it has not seen."
        )
    measured = file = None
    if root is not None:
        file = measurement_file(root, scorer, tested, group_by)
        measured = read_measurement(file, tested, scorer.card.bit_depth)
    if measured is not None:
        callback.on_note(
            f"The scores of {counted(len(tested), 'image')} are in the cache: the model has scored "
            "them before."
        )
    else:
        measured = measure(scorer, tested, group_by=group_by, progress=progress, callback=callback)
        if file is not None:
            keep_measurement(file, measured, callback)
    scored = [
        ScoredSample(sample=sample, score=score, seen=sample.class_name in manifest.seen_classes)
        for sample, score in zip(tested, measured.scores, strict=True)
        if not isinstance(score, str)
    ]
    chosen.skipped += [
        Skipped(name=sample.name, reason=reason)
        for sample, reason in zip(tested, measured.scores, strict=True)
        if isinstance(reason, str)
    ]
    trained = np.array(measured.trained, dtype=np.bool_)
    result = _sum_up(scored, chosen, scorer.model.decision, trained)
    copies = (
        LabelConflict.between(scored[image].sample, manifest.files[trained_file])
        for image, trained_file in measured.copied
    )
    conflicts = (*chosen.conflicts, *filter(None, copies))
    return replace(result, pixels=measured.pixels, conflicts=conflicts)


@dataclass(kw_only=True)
class _Chosen:
    """The images to test, and the counts of others, as in `Evaluation`."""

    tested: list[Sample] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    left_out: int = 0
    left_out_known_class: int = 0
    threshold_images: int = 0
    conflicts: list[LabelConflict] = field(default_factory=list)


def _choose(samples: Sequence[Sample], model: TrainedModel) -> _Chosen:
    """Leave out training images, and in the hard setting images of the known class."""
    chosen, manifest = _Chosen(), model.manifest
    files = {file.sha256: file for file in manifest.files}
    images = () if model.decision is None else model.exemplars.images
    set_on = {one.sha256 for one in images if one.role == "threshold"}
    for sample in samples:
        try:
            key = content_hash(sample.source)
        except ImageError as error:
            chosen.skipped.append(Skipped(name=sample.name, reason=str(error)))
            continue
        if key in files:
            chosen.left_out += 1
            chosen.conflicts += filter(None, [LabelConflict.between(sample, files[key])])
        elif manifest.drawn == "hard" and sample.class_name == manifest.known_class:
            chosen.left_out_known_class += 1
        else:
            chosen.tested.append(replace(sample, sha256=key))
            chosen.threshold_images += key in set_on and not sample.is_anomaly
    return chosen


def _sum_up(
    scored: Sequence[ScoredSample],
    chosen: _Chosen,
    decision: Decision | None,
    trained: NDArray[np.bool_],
) -> Evaluation:
    labels = np.array([one.sample.is_anomaly for one in scored], dtype=np.int64)
    scores = np.array([one.score for one in scored])
    seen = np.array([one.seen for one in scored], dtype=np.bool_)
    names = [one.sample.class_name for one in scored]
    classes = {}
    for name in sorted(set(names), key=lambda name: (name != GOOD, name)):
        of_class = np.array([one == name for one in names])
        classes[name] = ClassResult(
            count=int(of_class.sum()),
            seen=bool(seen[of_class].any()),
            auroc=None if name == GOOD else auroc_against_normals(labels, scores, of_class),
            called_anomalous=(
                None
                if decision is None
                else sum(decision.is_anomalous(float(one)) for one in scores[of_class])
            ),
        )
    return Evaluation(
        **asdict(open_set_figures(labels, scores, seen)),
        threshold=None if decision is None else decision.threshold,
        classes=classes,
        left_out=chosen.left_out,
        left_out_known_class=chosen.left_out_known_class,
        threshold_images=chosen.threshold_images,
        trained_parts=int(trained.sum()),
        of_new_parts=(
            open_set_figures(labels[~trained], scores[~trained], seen[~trained])
            if 0 < trained.sum() < len(trained)
            else None
        ),
        skipped=tuple(chosen.skipped),
        scored=tuple(scored),
    )
