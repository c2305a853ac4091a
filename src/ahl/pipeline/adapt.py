"""A trained model moved to another product with normal images alone (the paper's table 3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ahl._common.callbacks import Callback
from ahl._common.errors import ConfigurationError, DataError, NotFittedError
from ahl._common.types import GOOD, Kind
from ahl.data.images.sources import LabelledImage, readable_items
from ahl.distributions.augment.base import PseudoAnomalyGenerator
from ahl.distributions.episodes import draw_twins
from ahl.distributions.pseudo import PseudoAnomaly, normals_of
from ahl.distributions.training_set import TrainingSet
from ahl.evidence.out_of_fold import sample_evidence
from ahl.evidence.prepared import renew_preparation
from ahl.features.table import FeatureTable
from ahl.learning.training import train
from ahl.learning.training_state import start_state
from ahl.model.exemplars import Candidates, Exemplars, keep_exemplars, no_exemplars
from ahl.model.manifest import Manifest, TrainingFile
from ahl.model.trained import TrainedModel
from ahl.pipeline.extraction import open_extraction
from ahl.pipeline.task import reference_of

EPOCHS = 10
"""Of the adaptation, as in the paper."""


def adapt_to_images(
    model: TrainedModel,
    normals: Sequence[LabelledImage],
    *,
    generators: Sequence[PseudoAnomalyGenerator],
    epochs: int,
    device: torch.device,
    cache: str | Path | None,
    strict: bool,
    callback: Callback,
) -> TrainedModel:
    """Adapt a model to images of another product.

    Args:
        model: trained on images.
        normals: good images of the other product, at least two.
        generators: of the pseudo anomalies.
        epochs: how many.
        device: where to compute.
        cache: folder of the feature stores, as for `ahl.AHL`.
        strict: raise on an unreadable image instead of skipping it.
        callback: receives progress and of what is skipped.

    Returns:
        the adapted model; its manifest has the new images too.

    Raises:
        NotFittedError: if the model was trained on feature maps.
        DataError: if there are fewer than two readable images.
        ImageError: if strict and one cannot be read.
    """
    if model.backbone is None:
        raise NotFittedError("This detector was trained on feature maps; it cannot read images.")
    features = model.config.features
    images, items = readable_items(
        normals, features.size, decode=False, strict=strict, callback=callback
    )
    used = generators if model.config.distributions.pseudo else ()
    with open_extraction(
        model.backbone, features, device, cache=cache, strict=strict, callback=callback
    ) as extraction:
        table, images, items = extraction.labelled("features of normal images", images, items)
        if len(images) < 2:
            raise DataError(f"There are {len(images)} readable normal images; 2 are needed.")

        def keep(features: FeatureTable, plan: Sequence[PseudoAnomaly]) -> Exemplars:
            twins = extraction.pseudo_items(plan, items, used, seed=model.seed)
            made_by = [used[entry.generator].name for entry in plan]
            return keep_exemplars(
                features,
                [
                    Candidates(role="normal", classes=[GOOD] * len(items), items=items),
                    Candidates(role="pseudo", classes=made_by, items=twins),
                ],
            )

        adapted = adapt_model(
            model,
            table,
            lambda plan: extraction.pseudo(plan, items, used, seed=model.seed),
            generators=len(used),
            device=device,
            epochs=epochs,
            callback=callback,
            exemplars_of=keep,
        )
    new = tuple(
        TrainingFile(name=image.name, sha256=item.key, class_name=image.class_name)
        for image, item in zip(images, items, strict=True)
    )
    manifest = Manifest(
        files=(*model.manifest.files, *new),
        earlier=len(model.manifest.files),
        skipped=model.manifest.skipped + len(normals) - len(new),
    )
    return replace(adapted, manifest=manifest)


def adapt_model(
    model: TrainedModel,
    normals: FeatureTable,
    make_pseudo: Callable[[Sequence[PseudoAnomaly]], FeatureTable],
    *,
    generators: int,
    device: torch.device,
    epochs: int = EPOCHS,
    callback: Callback | None = None,
    exemplars_of: Callable[[FeatureTable, Sequence[PseudoAnomaly]], Exemplars] | None = None,
) -> TrainedModel:
    """Go on training the unified model on another product's normals.

    The heads see the new normals and pseudo anomalies made of them; no labelled anomaly. The
    reference, and the memory where there is one, are those of the new normals; the reduction stays.

    Args:
        model: trained elsewhere, with the same backbone.
        normals: features of the new normals, at least two.
        make_pseudo: gives the features of pseudo anomalies made of them.
        generators: how many pseudo-anomaly generators `make_pseudo` knows; 0 makes none.
        device: where to learn.
        epochs: how many.
        callback: receives every epoch.
        exemplars_of: keeps some of the new images, of the features of the normals and then the
            planned pseudo anomalies as the heads see them; None keeps none.

    Returns:
        the adapted model; its manifest is still that of the old one.

    Raises:
        ConfigurationError: if the features have another shape than the model's.
    """
    if normals.layout != model.layout:
        raise ConfigurationError(
            f"The features have shapes {normals.layout.scales}; the model was trained on "
            f"{model.layout.scales}."
        )
    config = replace(model.config, learning=model.config.learning.alone(epochs))
    plan = [
        PseudoAnomaly(generator=generator, normal=int(normal))
        for generator, twins in enumerate(
            draw_twins(len(normals), generators, config.distributions, model.seed)
        )
        for normal in np.flatnonzero(twins)
    ]
    pseudo = make_pseudo(plan) if plan else None
    prepared = renew_preparation(
        model.preparation, normals, pseudo, normals_of(plan), config, seed=model.seed
    )
    kinds = torch.tensor([int(Kind.NORMAL)] * len(normals) + [int(Kind.PSEUDO)] * len(plan))
    training_set = TrainingSet(
        features=prepared.everything,
        kinds=kinds,
        supports=(),
        queries=(),
        unseen=torch.zeros(len(kinds), 0, dtype=torch.bool),
    )
    reference = reference_of(prepared.normals, config, model.seed)
    state = train(
        model.detector,
        training_set,
        reference,
        config,
        seed=model.seed,
        device=device,
        callback=callback,
        state=replace(
            start_state(model.detector, config, 1, seed=model.seed), unified=model.unified
        ),
    )
    calibration = model.calibration
    if calibration is not None:
        calibration = calibration.restandardised(
            sample_evidence(
                model.detector,
                state.unified,
                training_set.features,
                training_set.everything.normals,
                reference,
                prepared.preparation,
            )
        )
    return replace(
        model,
        unified=state.unified,
        reference=reference,
        preparation=prepared.preparation,
        calibration=calibration,
        decision=None,
        exemplars=no_exemplars(model.detector.layout.row_size)
        if exemplars_of is None
        else exemplars_of(training_set.features, plan),
        history=(*model.history, *state.history),
    )
