"""Backbones: images in, feature maps out."""

from collections.abc import Sequence

from ahl.backbones.base import Backbone, BackboneDescription, BackboneTensors, hash_tensors
from ahl.backbones.embedded import EMBEDDED, EmbeddedBackbone, embedded_backbone
from ahl.backbones.pretrained import TimmBackbone
from ahl.errors import WeightsError

__all__ = [
    "BACKBONES",
    "EMBEDDED",
    "Backbone",
    "BackboneDescription",
    "BackboneTensors",
    "TimmBackbone",
    "embedded_backbone",
    "rebuild_backbone",
]

BACKBONES: tuple[type[Backbone], ...] = (TimmBackbone, EmbeddedBackbone)
"""The kinds that model files may name."""


def rebuild_backbone(
    description: BackboneDescription,
    tensors: BackboneTensors,
    *,
    extra: Sequence[type[Backbone]] = (),
) -> Backbone:
    """Build the backbone that a model file describes; no code from the file, no network.

    Args:
        description: kind, settings and the weights' hash.
        tensors: the weights by name, as `Backbone.tensors` gave them.
        extra: your own classes, beside `BACKBONES`; the first of a kind counts.

    Raises:
        WeightsError: if the kind is unknown, the tensors are not the described ones, or the
            settings do not fit.
    """
    kinds = {each.kind: each for each in reversed((*BACKBONES, *extra))}
    if description.kind not in kinds:
        raise WeightsError(
            f"The backbone is of kind {description.kind!r}; known here: "
            f"{', '.join(sorted(kinds))}. Pass the class that made it as `extra`."
        )
    if hash_tensors(tensors) != description.weights_sha256:
        raise WeightsError(
            "The backbone's weights are not the ones it was described with: the file is damaged "
            "or was altered. Use the original file."
        )
    return kinds[description.kind].rebuild(description.settings, tensors)
