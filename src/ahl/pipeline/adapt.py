"""Adaptation to another product by its normal images alone (the paper's table 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import torch

from ahl._common.callbacks import Callback
from ahl._common.errors import ConfigurationError, DataError
from ahl._common.types import GOOD
from ahl.config import DistributionConfig
from ahl.data.images.sources import LabelledImage, readable_items
from ahl.data.images.variety import notes_on_numbers
from ahl.data.pictures import look_at
from ahl.distributions.augment.base import PseudoAnomalyGenerator
from ahl.distributions.episodes import draw_twins
from ahl.distributions.pseudo import PseudoAnomaly, normals_of, pseudo_items
from ahl.distributions.training_set import TrainingSet
from ahl.evidence.out_of_fold import sample_evidence
from ahl.evidence.prepared import renew_preparation
from ahl.features.table import FeatureTable
from ahl.learning.algorithm import train_alone
from ahl.learning.state import start_state
from ahl.model.exemplars import Candidates, keep_exemplars, no_exemplars, thumbnails_of
from ahl.model.manifest import Manifest, training_file
from ahl.model.trained import TrainedModel
from ahl.pipeline.extraction import open_extraction
from ahl.pipeline.settings import RunSettings
from ahl.pipeline.task import reference_of

EPOCHS: Final = 10
"""Number of epochs of an adaptation, as in the paper."""


def adapt(
    model: TrainedModel,
    normals: Sequence[LabelledImage],
    run: RunSettings,
    *,
    generators: Sequence[PseudoAnomalyGenerator],
    epochs: int = EPOCHS,
) -> TrainedModel:
    """Adapt a model to images of another product.

    Args:
        model: a model trained on images.
        normals: good images of the other product, at least two.
        run: device, cache and callback.
        generators: generators of the pseudo anomalies.
        epochs: number of epochs.

    Returns:
        the adapted model, with the new images in its manifest, too.

    Raises:
        DataError: if the model was trained on feature maps, or fewer than two images are readable.
        ImageError: if an image cannot be read and `run.strict` is set.
    """
    if model.backbone is None:
        raise DataError("This detector was trained on feature maps; it cannot read images.")
    features = model.config.features
    for note in notes_on_numbers([image.source for image in normals], features.bit_depth):
        run.callback.on_note(note)
    images, items = readable_items(
        normals, features, decode=False, strict=run.strict, callback=run.callback
    )
    with open_extraction(
        model.backbone,
        features,
        run.torch_device,
        cache=run.cache,
        strict=run.strict,
        callback=run.callback,
    ) as extraction:
        rows, images, items = extraction.labelled("features of normal images", images, items)
        if len(images) < 2:
            raise DataError(f"There are {len(images)} readable normal images; 2 are needed.")
        plan = plan_twins(len(rows), len(generators), model.config.distributions, seed=model.seed)
        twins = pseudo_items(plan, items, generators, seed=model.seed, tiles=features.tiles)
        adapted = adapt_on_features(
            model,
            rows,
            extraction.pseudo(twins),
            plan,
            device=run.torch_device,
            epochs=epochs,
            callback=run.callback,
            candidates=[
                Candidates(role="normal", classes=[GOOD] * len(items), items=items),
                Candidates(
                    role="pseudo",
                    classes=[generators[entry.generator].name for entry in plan],
                    items=twins,
                ),
            ],
        )
    new = tuple(training_file(image, item) for image, item in zip(images, items, strict=True))
    manifest = Manifest(
        files=(*model.manifest.files, *new),
        earlier=len(model.manifest.files),
        skipped=model.manifest.skipped + len(normals) - len(new),
        group_by=model.manifest.group_by,
        copies=model.manifest.copies,
    )
    pictures, _ = look_at(images, run.callback, features.bit_depth)
    thumbnails = torch.cat([model.thumbnails, thumbnails_of(pictures)])
    return replace(adapted, manifest=manifest, thumbnails=thumbnails)


def plan_twins(
    normals: int, generators: int, config: DistributionConfig, *, seed: int
) -> list[PseudoAnomaly]:
    """Plan the pseudo anomalies of a training without episodes."""
    twins = draw_twins(normals, generators if config.pseudo else 0, config, seed)
    return [
        PseudoAnomaly(generator=generator, normal=int(normal))
        for generator, of in enumerate(twins)
        for normal in np.flatnonzero(of)
    ]


def adapt_on_features(
    model: TrainedModel,
    normals: FeatureTable,
    pseudo: FeatureTable | None,
    plan: Sequence[PseudoAnomaly],
    *,
    device: torch.device,
    epochs: int = EPOCHS,
    callback: Callback | None = None,
    candidates: Sequence[Candidates] = (),
) -> TrainedModel:
    """Continue training the unified model on another product's normals.

    The heads train on the new normals and on pseudo anomalies made from them, without labelled
    anomalies. Reference and memory, if any, are rebuilt from the new normals; the reduction stays.

    Args:
        model: a model of another product, with the same backbone.
        normals: features of the new normals, at least two.
        pseudo: features of pseudo anomalies made from them; None for none.
        plan: the plan of the pseudo anomalies, from `plan_twins`.
        device: device to train on.
        epochs: number of epochs.
        callback: receives every epoch.
        candidates: the new normals, then the pseudo anomalies, as candidates for the model's
            exemplars; empty for none.

    Returns:
        the adapted model, still with the old manifest.

    Raises:
        ConfigurationError: if the features have another shape than the model's.
    """
    if normals.layout != model.layout:
        raise ConfigurationError(
            f"The features have shapes {normals.layout.scales}; the model was trained on "
            f"{model.layout.scales}."
        )
    callback, seed = callback or Callback(), model.seed
    config = replace(model.config, learning=model.config.learning.alone(epochs))
    prepared = renew_preparation(
        model.preparation, normals, pseudo, normals_of(plan), config, seed=seed
    )
    data = TrainingSet.of_counts(
        prepared.everything, normals=len(normals), anomalies=0, pseudo=len(plan)
    )
    reference = reference_of(prepared.normals, config, seed)
    start = replace(start_state(model.detector, config, seed=seed), unified=model.unified)
    for state in train_alone(
        model.detector, data, reference, config, seed=seed, device=device, state=start
    ):
        callback.on_epoch(state.history[-1], epochs)
    calibration = model.calibration
    if calibration is not None:
        evidence = sample_evidence(
            model.detector,
            state.unified,
            data.features,
            data.everything.normals,
            reference,
            prepared.preparation,
        )
        calibration = calibration.restandardised(evidence)
    width = model.detector.layout.row_size
    return replace(
        model,
        unified=state.unified,
        reference=reference,
        preparation=prepared.preparation,
        calibration=calibration,
        decision=None,
        exemplars=keep_exemplars(data.features, candidates) if candidates else no_exemplars(width),
        history=(*model.history, *state.history),
    )
