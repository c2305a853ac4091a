"""Cached measurements: a model's scores of labelled images, their copies and pixel figures.

`ahl evaluate` and `ahl report` of one model on one folder score it once. A measurement is a file in
the cache, named by a hash of everything that it depends on: the model without its threshold,
images, masks and labels by content and name, and the versions of the software.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ahl._common.callbacks import Callback
from ahl._common.errors import DataError, ImageError
from ahl._common.files import written_whole
from ahl._common.schema import json_hash, read_json, read_values
from ahl._common.tensor_file import run_fingerprint
from ahl._common.text import first_line
from ahl._common.types import Pixels, Sample
from ahl.data.images.reading import content_hash, read_pixels
from ahl.data.images.variety import notes_on_numbers
from ahl.data.masks import mask_of, resized_mask
from ahl.data.pictures import Picture, picture_of
from ahl.model.exemplars import no_exemplars
from ahl.scoring.localisation import PixelCounts, PixelFigures
from ahl.scoring.torch_scorer import TorchScorer
from ahl.scoring.trained_parts import compare_with_training

MEASUREMENT_VERSION: Final = 2
"""Version, raised if the same model and images give other scores, copies or pixel figures."""

FOLDER: Final = "scores"
"""Name of the measurements' folder within the cache."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A model's measurement of N tested images.

    Attributes:
        scores: score of each image, in order, or the reason why it has none.
        trained: for each image with a score, True if it shows a part that was trained on.
        copied: for each copy of a training image, its index among the images with a score, and
            that of the training file.
        pixels: figures of the heat maps; None if no anomaly has a mask.
    """

    scores: tuple[float | str, ...]
    trained: tuple[bool, ...]
    copied: tuple[tuple[int, int], ...]
    pixels: PixelFigures | None


def measure(
    scorer: TorchScorer,
    tested: Sequence[Sample],
    *,
    group_by: str | None,
    progress: Callable[[int, int], None] | None,
    callback: Callback,
) -> Measurement:
    """Score images, compare them with the training images, and heat maps with masks.

    Args:
        scorer: the trained model with its backbone.
        tested: the images, with their hashes.
        group_by: as for `ahl.evaluate`.
        progress: called with (done, total).
        callback: receives notes, and the progress of comparing.

    Raises:
        ConfigurationError: if `group_by` is not a regular expression.
        DataError: if no image can be read.
    """
    for note in notes_on_numbers([sample.source for sample in tested], scorer.card.bit_depth):
        callback.on_note(note)
    scores: list[float | str] = []
    pictures: dict[int, Picture[Sample]] = {}
    masked, pixels = any(sample.is_anomaly and sample.masks for sample in tested), PixelCounts()

    def look(index: int, image: Pixels) -> None:
        pictures[index] = picture_of(tested[index], image)

    sources = [sample.source for sample in tested]
    for prediction in scorer.predict(sources, heat_maps=masked, look=look):
        found = prediction.error or "" if prediction.score is None else prediction.score
        scores.append(found)
        if prediction.heat_map is not None:
            _count_pixels(pixels, prediction.heat_map, tested[prediction.index])
        if progress is not None:
            progress(len(scores), len(tested))
    scored = [i for i, score in enumerate(scores) if not isinstance(score, str)]
    if not scored:
        raise DataError(
            f"None of the {len(tested)} images that are left to test can be read "
            f"({tested[0].name}: {scores[0]})."
        )
    against = compare_with_training(
        scorer.model,
        [tested[i] for i in scored],
        group_by=group_by,
        pictures=[pictures[i] for i in scored],
        callback=callback,
    )
    return Measurement(
        scores=tuple(scores),
        trained=tuple(against.trained.tolist()),
        copied=tuple(sorted(against.copied)),
        pixels=pixels.figures(),
    )


def _count_pixels(pixels: PixelCounts, heat: NDArray[np.float32], sample: Sample) -> None:
    mask = mask_of(sample)
    if mask is not None:
        pixels.add(heat, resized_mask(mask, heat.shape))
    elif sample.is_anomaly:
        pixels.add_unmasked()
    else:
        pixels.add(heat, None)


def measurement_file(
    root: Path, scorer: TorchScorer, tested: Sequence[Sample], group_by: str | None
) -> Path:
    """Path of a measurement's file, which need not exist.

    Args:
        root: folder of the cache.
        scorer: as for `measure`.
        tested: as for `measure`.
        group_by: as for `measure`.
    """
    model = scorer.model
    alone = no_exemplars(model.detector.layout.row_size)  # others are kept with a threshold
    images = [
        [one.name, one.class_name, one.part, one.sha256, [_hash_of(mask) for mask in one.masks]]
        for one in tested
    ]
    identity = {
        "version": MEASUREMENT_VERSION,
        "model": replace(model, decision=None, exemplars=alone).sha256,
        "features": scorer.extractor.identity,
        "group_by": group_by,
        "images": images,
    }
    return root / FOLDER / f"{run_fingerprint(identity)}.json"


def _hash_of(mask: Path) -> str:
    """Hash of a mask, or the reason why it has none."""
    try:
        return content_hash(mask)
    except ImageError as error:
        return str(error)


def read_measurement(path: Path, tested: Sequence[Sample], bit_depth: int) -> Measurement | None:
    """Read a measurement of these images.

    Returns:
        the measurement; None if it is missing or damaged, or an image has become readable since.
    """
    try:
        stored = read_json(path.read_bytes(), dict[str, Any])
        found = read_values(stored.get("values"), Measurement)
    except (OSError, ValueError):
        return None
    if stored.get("sha256") != _checksum(path, found):
        return None
    unread = [
        (sample, score)
        for sample, score in zip(tested, found.scores, strict=True)
        if isinstance(score, str)
    ]
    return found if all(why == _why_unread(one, bit_depth) for one, why in unread) else None


def keep_measurement(path: Path, measurement: Measurement, callback: Callback) -> None:
    """Write a measurement to the cache; a failure gives a note."""
    stored = {"values": asdict(measurement), "sha256": _checksum(path, measurement)}
    try:
        with written_whole(path) as unfinished:
            unfinished.write_text(json.dumps(stored), encoding="utf-8")
    except OSError as error:
        callback.on_note(f"The scores were not cached: {path}: {first_line(error)}.")


def _checksum(path: Path, measurement: Measurement) -> str:
    return json_hash([path.name, asdict(measurement)])


def _why_unread(sample: Sample, bit_depth: int) -> str | None:
    """The reason why an image cannot be read; None if it can."""
    try:
        read_pixels(sample.source, bit_depth=bit_depth)
    except ImageError as error:
        return str(error)
    return None
