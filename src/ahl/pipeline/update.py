"""Update of a model by images that it got wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from ahl._common.callbacks import Callback
from ahl._common.errors import ConfigurationError, DataError
from ahl._common.types import GOOD, ImageItem, Skipped
from ahl.data.images.sources import (
    LabelledImage,
    readable_items,
    report_skipped,
)
from ahl.data.images.variety import notes_on_numbers
from ahl.data.labels import check_contradictions
from ahl.data.pictures import look_at
from ahl.features.maps import FeatureMaps
from ahl.model.exemplars import Role, new_exemplars, no_exemplars, thumbnails_of
from ahl.model.manifest import Manifest, TrainingFile, training_file
from ahl.model.trained import TrainedModel
from ahl.pipeline.settings import RunSettings
from ahl.pipeline.update_result import Update
from ahl.pipeline.update_training import update_on_exemplars
from ahl.scoring.torch_scorer import TorchScorer

MOST = 100
"""Largest number of images of one update."""

MISSED_CLASS = "missed"
"""Class of missed defects without a given class."""


def update_with_images(
    model: TrainedModel,
    missed: Sequence[LabelledImage],
    false_alarms: Sequence[LabelledImage],
    run: RunSettings,
) -> Update:
    """Update a model by images that it got wrong.

    Args:
        model: a model trained on images; not changed.
        missed: defects that it scored as good.
        false_alarms: good images that it scored as defects.
        run: device and callback.

    Returns:
        the update, with the images in its model's manifest.

    Raises:
        ConfigurationError: if a missed defect's class is good or empty.
        DataError: if no image is readable, one is given as both, there are too many, or the model
            keeps too few good images or was trained on feature maps.
        ImageError: if an image cannot be read and `run.strict` is set.
    """
    if odd := [image.class_name for image in missed if image.class_name in ("", GOOD)]:
        raise ConfigurationError(
            f"The class of a missed defect is {odd[0]!r}; expected the name of its kind."
        )
    if len(missed) + len(false_alarms) > MOST:
        raise DataError(
            f"{len(missed) + len(false_alarms)} images are too many for an update, which takes at "
            f"most {MOST}: train again with them among the training images."
        )
    callback, strict, device = run.callback, run.strict, run.torch_device
    scorer = TorchScorer(model, device)
    features = model.config.features
    sources = [image.source for image in (*missed, *false_alarms)]
    for note in notes_on_numbers(sources, features.bit_depth):
        callback.on_note(note)
    images, items = readable_items(
        [*missed, *false_alarms], features, decode=False, strict=strict, callback=callback
    )
    check_contradictions(images, items)
    read: dict[str, tuple[LabelledImage, ImageItem, FeatureMaps]] = {}
    for index, maps in scorer.prepared([image.source for image in images]):
        image, item = images[index], items[index]
        if isinstance(maps, str):
            report_skipped(Skipped(name=image.name, reason=maps), strict, callback)
        else:
            read.setdefault(item.key, (image, item, maps))
    wrong = no_exemplars(model.detector.layout.row_size)
    roles: tuple[tuple[Role, bool], ...] = (("anomaly", False), ("normal", True))
    for role, good in roles:
        chosen = [
            (item, image.class_name, maps)
            for image, item, maps in read.values()
            if (image.class_name == GOOD) == good
        ]
        wrong += new_exemplars(role, chosen, model.detector.layout.row_size)
    files = {key: training_file(image, item) for key, (image, item, _) in read.items()}
    for file in model.manifest.files:
        if _relabelled(file, files):
            words = ("good", "a defect") if file.class_name == GOOD else ("a defect", "good")
            callback.on_note(
                f"{file.name} was trained on as {words[0]}; it is now given as {words[1]}."
            )
    if not len(wrong):
        raise DataError("There is no readable image to update the model with.")
    found = update_on_exemplars(model, wrong, device=device, callback=callback)
    manifest = _with_files(model.manifest, files)
    now_at = {file.sha256: index for index, file in enumerate(manifest.files)}
    places = [
        None if _relabelled(file, files) else now_at[file.sha256] for file in model.manifest.files
    ]
    episodes = tuple(episode.renumbered(places) for episode in model.episodes)
    taught = [image for image, _, _ in read.values()]
    pictures, _ = look_at(taught, Callback(), features.bit_depth)
    thumbnails = torch.cat([model.thumbnails, thumbnails_of(pictures)])
    updated = replace(found.model, manifest=manifest, episodes=episodes, thumbnails=thumbnails)
    return replace(found, model=updated)


def _with_files(manifest: Manifest, new: dict[str, TrainingFile]) -> Manifest:
    """Add files to a manifest; they replace entries of the same images."""
    parts = manifest.files[: manifest.earlier], manifest.files[manifest.earlier :]
    earlier, own = ([file for file in part if file.sha256 not in new] for part in parts)
    return replace(manifest, files=(*earlier, *own, *new.values()), earlier=len(earlier))


def _relabelled(file: TrainingFile, new: dict[str, TrainingFile]) -> bool:
    """True if a file changes from good to defect, or from defect to good."""
    now = new.get(file.sha256)
    return now is not None and (now.class_name == GOOD) != (file.class_name == GOOD)
