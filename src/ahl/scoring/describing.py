"""What a trained model is to those who only use it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ahl._common.types import GOOD
from ahl._common.version import __version__
from ahl.heads.base import MEMORY
from ahl.model.card import ModelCard, Shown
from ahl.model.exemplars import Role
from ahl.model.trained import TrainedModel

MEMORY_MEANING: Final = "unlike any good part remembered"

FIRST_RED: Final = 1.0
"""Heat from which on a place is coloured, in spreads of unseen normals."""


def card_of(model: TrainedModel) -> ModelCard:
    """The model's card.

    Args:
        model: trained on images.
    """
    own = model.manifest.files[model.manifest.earlier :]
    classes = [file.class_name for file in own]
    meanings = {**model.detector.meanings, MEMORY: MEMORY_MEANING}
    calibration = model.calibration
    evidence = () if calibration is None else model.evidence_names
    return ModelCard(
        version=__version__,
        sha256=model.sha256,
        base=model.detector.name,
        backbone=_backbone(model),
        image_size=model.config.features.size,
        heads=model.detector.head_names,
        evidence=evidence,
        meanings={name: meanings.get(name, name) for name in evidence},
        decision=model.decision,
        probability=None if calibration is None else calibration.probability,
        colour_bounds=colour_bounds(model),
        classes=tuple(sorted(model.manifest.seen_classes)),
        normals=classes.count(GOOD),
        anomalies=len(classes) - classes.count(GOOD),
        shown_normals=_shown(model, "normal"),
        shown_anomalies=_shown(model, "anomaly"),
    )


def _backbone(model: TrainedModel) -> str:
    if model.backbone is None:
        return "none: it was trained on feature maps"
    settings: dict[str, Any] = model.backbone.settings()
    return str(settings.get("name", model.backbone.kind))


def _shown(model: TrainedModel, role: Role) -> tuple[Shown, ...]:
    kept = model.exemplars.chosen(model.exemplars.of_role(role))
    return tuple(
        Shown(name=one.name, class_name=one.class_name, picture=kept.picture(number))
        for number, one in enumerate(kept.images)
    )


def colour_bounds(model: TrainedModel) -> tuple[float, float] | None:
    """Heat from which on a place is worth colouring, and from which on fully; one for all images.

    From a spread above the highest places of a usual good image, which have 0; fully where the
    median out-of-fold anomaly scores, or three spreads later.

    Returns:
        the bounds, the first the lower; None for a model that is not calibrated.
    """
    if model.calibration is None:
        return None
    known = model.calibration.anomaly_scores
    return FIRST_RED, max(float(np.median(known)) if len(known) else 0.0, FIRST_RED + 3.0)
