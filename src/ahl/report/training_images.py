"""Small pictures of what a model was trained on, as far as they can be had."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ahl.datasets import Dataset
from ahl.errors import ImageError
from ahl.images import ImageSource, content_hash
from ahl.model import TrainedModel
from ahl.report.inline_images import read_small
from ahl.types import Pixels

SIDE: Final = 96
"""Longest side of one, in pixels."""


def training_thumbnails(
    model: TrainedModel, indices: Iterable[int], dataset: Dataset
) -> dict[int, Pixels]:
    """Small pictures of training images.

    The model keeps no pixels: they are looked for among the dataset's files, by their content.

    Args:
        model: the trained model.
        indices: into its manifest's files.
        dataset: where they may be.

    Returns:
        (H, W, 3) by index; those that are not there lack.
    """
    found = _find(model, indices, dataset)
    pictures = {index: read_small(source, SIDE) for index, source in found.items()}
    return {index: pixels for index, pixels in pictures.items() if pixels is not None}


def _find(model: TrainedModel, indices: Iterable[int], dataset: Dataset) -> dict[int, ImageSource]:
    files = model.manifest.files
    wanted: dict[str, list[int]] = {}
    for index in indices:
        wanted.setdefault(files[index].sha256, []).append(index)
    names = {files[index].name for some in wanted.values() for index in some}
    samples = [*dataset.train_normals, *dataset.test_normals, *dataset.anomalies]
    found: dict[int, ImageSource] = {}
    # Those of the same name first: then the others need not be read.
    for sample in sorted(samples, key=lambda sample: sample.name not in names):
        if not wanted:
            break
        try:
            key = content_hash(sample.source)
        except ImageError:
            continue
        found |= dict.fromkeys(wanted.pop(key, ()), sample.source)
    return found
