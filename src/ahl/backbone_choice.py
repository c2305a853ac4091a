"""Which backbone a run uses, and how it is had: by name, learned, or handed in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ahl.backbones import Backbone, PatchBackbone, TimmBackbone
from ahl.backbones.patches import LEARNING_IMAGES
from ahl.errors import ConfigurationError, DataError, ImageError
from ahl.observer import Observer
from ahl.types import ImageItem, Pixels


@dataclass(frozen=True, kw_only=True)
class BackboneChoice:
    """The backbone options of a run.

    Attributes:
        backbone: a timm model name, `"patches"`, or a backbone ready to use.
        weights: local safetensors weights of a timm model; None downloads them.
        arguments: further arguments of `timm.create_model`, and `mean` and `std`.
        stages: stages of a timm model to join; None takes the last three.
    """

    backbone: str | Backbone
    weights: Path | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    stages: tuple[int, ...] | None = None

    def build(self, normals: Sequence[ImageItem], *, seed: int, observer: Observer) -> Backbone:
        """Get the backbone.

        Args:
            normals: training normals, for a backbone that learns from them.
            seed: of that learning.
            observer: hears what is done.

        Raises:
            ConfigurationError: if the options contradict each other or name no backbone.
            WeightsError: if the weights cannot be had.
            DataError: if there is no readable normal to learn from.
        """
        timm_only = self.weights is not None or self.arguments or self.stages is not None
        if isinstance(self.backbone, Backbone) or self.backbone == PatchBackbone.kind:
            if timm_only:
                raise ConfigurationError(
                    "weights, backbone arguments and stages go with a timm backbone only."
                )
            if isinstance(self.backbone, Backbone):
                return self.backbone
            observer.on_note(
                "Learning convolution filters from the normal images: no pretrained weights used."
            )
            return PatchBackbone.learn(_some_pixels(normals), seed=seed)
        return TimmBackbone.load(
            self.backbone, weights=self.weights, arguments=dict(self.arguments), stages=self.stages
        )


def _some_pixels(normals: Sequence[ImageItem]) -> list[Pixels]:
    """Pixels of up to LEARNING_IMAGES normals, evenly spaced; unreadable ones left out."""
    pixels = []
    count = min(LEARNING_IMAGES, len(normals))
    for i in range(count):
        try:
            pixels.append(normals[i * len(normals) // count].load())
        except ImageError:  # reported when its features are wanted
            continue
    if not pixels:
        raise DataError("None of the normal images can be read.")
    return pixels
