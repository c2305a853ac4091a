"""Backbones, which turn images into feature maps."""

from collections.abc import Sequence

from ahl._common.errors import ModelFileError, WeightsError
from ahl.features.backbones.base import Backbone, BackboneDescription, BackboneTensors, hash_tensors
from ahl.features.backbones.names import PACKAGED
from ahl.features.backbones.pretrained import TimmBackbone

__all__ = [
    "BACKBONES",
    "PACKAGED",
    "Backbone",
    "BackboneDescription",
    "BackboneTensors",
    "TimmBackbone",
    "rebuild_backbone",
]

BACKBONES: tuple[type[Backbone], ...] = (TimmBackbone,)
"""Backbone classes that model files may name."""


def rebuild_backbone(
    description: BackboneDescription,
    tensors: BackboneTensors,
    *,
    extra: Sequence[type[Backbone]] = (),
) -> Backbone:
    """Build the backbone that a model file describes; nothing is downloaded and no code runs.

    `extra` holds your own classes beside `BACKBONES`; the first of a kind is used.

    Raises:
        ModelFileError: if it is the embedded backbone of ahl 0.1.0, which no longer exists.
        WeightsError: if the kind is unknown, or tensors or settings do not match the description.
    """
    kinds = {each.kind: each for each in reversed((*BACKBONES, *extra))}
    if description.kind == "embedded" and "embedded" not in kinds:
        raise ModelFileError(
            "This model was made with the embedded backbone of ahl 0.1.0, which no longer "
            "exists: train it again with the default backbone."
        )
    if description.kind not in kinds:
        raise WeightsError(
            f"The backbone is of kind {description.kind!r}; known here: "
            f"{', '.join(sorted(kinds))}. Pass the class that made it: "
            "AHL.load(path, backbones=[...])."
        )
    if hash_tensors(tensors) != description.weights_sha256:
        raise WeightsError(
            "The backbone's weights are not the ones it was described with: the file is damaged "
            "or was altered. Use the original file."
        )
    return kinds[description.kind].rebuild(description.settings, tensors)
