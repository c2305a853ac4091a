"""Training of a model on images or on feature maps."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ahl._common.distributed import process_rank
from ahl._common.errors import DataError
from ahl._common.tensor_file import finetuning_checkpoint
from ahl._common.types import GOOD
from ahl.data import Drawn
from ahl.data.images.sources import (
    LabelledImage,
    readable_items,
)
from ahl.data.images.variety import check_variety, notes_on
from ahl.data.labels import check_classes, check_contradictions
from ahl.data.parts import Parts, find_parts, number_parts, part_of
from ahl.distributions.folds import FEWEST_NORMALS
from ahl.distributions.pseudo import plan_pseudo_anomalies, pseudo_items
from ahl.features.sizing import with_size
from ahl.features.table import FeatureTable
from ahl.learning.finetuning import finetune_backbone
from ahl.learning.finetuning_batches import FinetuningImages
from ahl.model.exemplars import Candidates, keep_exemplars, thumbnails_of
from ahl.model.manifest import EpisodeRecord, Manifest, training_file
from ahl.model.trained import TrainedModel
from ahl.pipeline.extraction import open_extraction
from ahl.pipeline.learn import checkpoint_of, learn
from ahl.pipeline.settings import Learner, RunSettings
from ahl.pipeline.task import describe_episodes, draw_episodes, prepare


def train(
    normals: Sequence[LabelledImage],
    anomalies: Sequence[LabelledImage],
    learner: Learner,
    run: RunSettings,
    *,
    drawn: Drawn = "all",
    known_class: str | None = None,
    group_by: str | None = None,
    found: Parts[Any] | None = None,
) -> TrainedModel | None:
    """Train a model on images.

    Photographs of one part are kept in one fold of the calibration: images with the same `part`,
    given or read from their names, and copies among the others.

    Args:
        normals: good images, at least two.
        anomalies: labelled anomalies, at least one.
        learner: settings that determine what is learnt.
        run: device, cache, checkpoint and callback.
        drawn: how the anomalies were drawn, for the manifest.
        known_class: known class of the hard setting, for the manifest.
        group_by: as in `ahl.data.parts.part_of`; kept in the manifest.
        found: parts and copies found before, among images that may include others.

    Returns:
        the model; None in all but the first of several processes that fine-tune together.

    Raises:
        ConfigurationError: if `group_by` is not a regular expression.
        DataError: if there are too few readable images, or labels contradict each other.
        ImageError: if an image cannot be read and `run.strict` is set.
        WeightsError: if the backbone's weights cannot be found or downloaded.
        ResumeError: if the checkpoint to resume is of another run.
    """
    seed, generators, callback = learner.seed, learner.generators, run.callback
    with callback.run(learner.facts(run)):
        check_classes(normals, anomalies)  # before anything that takes time
        if group_by is not None:
            part_of("", group_by)
        given = len(normals) + len(anomalies)
        with callback.part("building the backbone"):
            backbone = learner.backbone.build()
        with callback.part("reading files"):
            sources = [image.source for image in normals]
            config = with_size(learner.config, backbone, sources, callback=callback)
            features, decode, strict = config.features, learner.finetune, run.strict
            normals, normal_items = readable_items(
                normals, features, decode=decode, strict=strict, callback=callback
            )
            anomalies, anomaly_items = readable_items(
                anomalies, features, decode=decode, strict=strict, callback=callback
            )
        check_classes(normals, anomalies)
        check_contradictions([*normals, *anomalies], [*normal_items, *anomaly_items])
        for note in notes_on([image.source for image in normals], features.bit_depth):
            callback.on_note(note)
        check_variety(normal_items)
        if learner.finetune:
            with callback.part("fine-tuning"):
                backbone = finetune_backbone(
                    backbone,
                    learner.heads,
                    FinetuningImages(
                        normals=normal_items,
                        anomalies=anomaly_items,
                        generators=generators if config.distributions.pseudo else (),
                    ),
                    config,
                    seed=seed,
                    device=run.torch_device,
                    callback=callback,
                    checkpoint=finetuning_checkpoint(run.checkpoint_file),
                    resume=run.resume,
                )
            if process_rank() > 0:
                return None
        with open_extraction(
            backbone,
            config.features,
            run.torch_device,
            cache=run.cache,
            strict=run.strict,
            callback=callback,
        ) as extraction:
            normal_rows, normals, normal_items = extraction.labelled(
                "features of normal images", normals, normal_items
            )
            anomaly_rows, anomalies, anomaly_items = extraction.labelled(
                "features of anomalies", anomalies, anomaly_items
            )
            check_classes(normals, anomalies)
            with callback.part("copies"):
                images, depth = [*normals, *anomalies], features.bit_depth
                found = find_parts(
                    images, callback, group_by=group_by, known=found, bit_depth=depth
                )
                for note in found.notes("stay in one fold, where one of them represents all"):
                    callback.on_note(note)
            with callback.part("episodes and memory"):
                episodes = draw_episodes(  # section 3.2
                    normal_rows, len(anomaly_rows), len(generators), config.distributions, seed=seed
                )
            plan = plan_pseudo_anomalies(episodes)
            twins = pseudo_items(
                plan, normal_items, generators, seed=seed, tiles=config.features.tiles
            )
            pseudo_rows = extraction.pseudo(twins)  # appendix B.1
            with callback.part("episodes and memory"):
                task = prepare(
                    learner.heads,
                    normal_rows,
                    anomaly_rows,
                    pseudo_rows,
                    episodes,
                    config,
                    seed=seed,
                    groups=number_parts(image.part for image in found.images),
                )
            if config.calibration.folds and not task.folds and len(normals) >= FEWEST_NORMALS:
                run.callback.on_note(
                    f"The good images show fewer than {FEWEST_NORMALS} parts: the scores are not "
                    "calibrated. Add good images of other parts."
                )
            manifest = Manifest(
                files=tuple(
                    training_file(image, item)
                    for image, item in zip(
                        found.images, [*normal_items, *anomaly_items], strict=True
                    )
                ),
                drawn=drawn,
                known_class=known_class,
                skipped=given - len(normals) - len(anomalies),
                group_by=group_by,
                copies=len(found.copies),
            )
            model = learn(  # with episodes: sections 3.3 and 3.4
                task,
                config,
                seed=seed,
                device=run.torch_device,
                callback=callback,
                checkpoint=checkpoint_of(learner, config, run, manifest, extraction.identity),
                resume=run.resume,
            )
            with callback.part("pictures of training images"):
                exemplars = keep_exemplars(
                    task.data.features,
                    [
                        Candidates(
                            role="normal", classes=[GOOD] * len(normals), items=normal_items
                        ),
                        Candidates(
                            role="anomaly",
                            classes=[image.class_name for image in anomalies],
                            items=anomaly_items,
                        ),
                        Candidates(
                            role="pseudo",
                            classes=[generators[entry.generator].name for entry in plan],
                            items=twins,
                        ),
                    ],
                )
        records: tuple[EpisodeRecord, ...] = ()
        if config.learning.episodes:  # else there are no base models
            kept = {one.sha256 for one in exemplars.images}
            pictured = np.array([item.key in kept for item in normal_items])
            records = describe_episodes(episodes, [one.name for one in generators], pictured)
        return replace(
            model,
            backbone=backbone,
            manifest=manifest,
            exemplars=exemplars,
            episodes=records,
            thumbnails=thumbnails_of(found.pictures),
        )


def train_on_features(
    normals: FeatureTable,
    anomalies: FeatureTable,
    twins: Sequence[FeatureTable],
    learner: Learner,
    run: RunSettings,
) -> TrainedModel:
    """Train a model on feature maps instead of images.

    Args:
        normals: features of at least two normals.
        anomalies: features of at least one labelled anomaly.
        twins: for each pseudo-anomaly generator, features of a pseudo anomaly from every normal.
        learner: settings that determine what is learnt; backbone and generators are not used.
        run: device, checkpoint and callback.

    Raises:
        DataError: if the tables have different layouts or too few rows.
    """
    with run.callback.run(learner.facts(run)):
        if any(table.layout != normals.layout for table in (anomalies, *twins)):
            raise DataError("Normal, anomalous and pseudo feature maps must have the same shape.")
        if len(normals) < 2 or len(anomalies) < 1:
            raise DataError("At least 2 normal feature maps and 1 anomalous one are needed.")
        if any(len(table) != len(normals) for table in twins):
            raise DataError(
                "Every pseudo-anomaly generator needs exactly one feature map (twin) for each "
                "normal one."
            )
        config, seed = learner.config, learner.seed
        with run.callback.part("episodes and memory"):
            episodes = draw_episodes(
                normals, len(anomalies), len(twins), config.distributions, seed=seed
            )
            plan, pseudo = plan_pseudo_anomalies(episodes), None
            if plan:
                rows = [twins[entry.generator].rows(np.array([entry.normal])) for entry in plan]
                pseudo = FeatureTable.of_rows(normals.layout, torch.cat(rows).half().numpy())
            task = prepare(learner.heads, normals, anomalies, pseudo, episodes, config, seed=seed)
        digest = hashlib.sha256()
        for table in (normals, anomalies, *twins):
            for _, chunk in table.chunks():
                digest.update(chunk.numpy().tobytes())
        identity = {"features": digest.hexdigest()}
        model = learn(
            task,
            config,
            seed=seed,
            device=run.torch_device,
            callback=run.callback,
            checkpoint=checkpoint_of(learner, config, run, Manifest(), identity),
            resume=run.resume,
        )
        exemplars = keep_exemplars(
            task.data.features,
            [
                Candidates(role="normal", classes=[GOOD] * len(normals), items=None),
                Candidates(role="anomaly", classes=["anomaly"] * len(anomalies), items=None),
                Candidates(
                    role="pseudo",
                    classes=[f"generator {entry.generator}" for entry in plan],
                    items=None,
                ),
            ],
        )
        return replace(model, exemplars=exemplars)
