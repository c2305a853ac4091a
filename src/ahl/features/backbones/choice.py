"""The choice of a backbone: a name with options, or a backbone object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ahl._common.errors import ConfigurationError
from ahl.features.backbones import Backbone, TimmBackbone


@dataclass(frozen=True, kw_only=True)
class BackboneChoice:
    """The backbone options of a run: a backbone, or the arguments of `TimmBackbone.load`."""

    backbone: str | Backbone
    weights: Path | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    stages: tuple[int, ...] | None = None

    def facts(self) -> dict[str, Any]:
        """The options as JSON values."""
        if isinstance(self.backbone, Backbone):
            return {"name": self.backbone.kind, **self.backbone.settings()}
        return {
            "name": self.backbone,
            "weights": None if self.weights is None else str(self.weights),
            "arguments": dict(self.arguments),
            "stages": None if self.stages is None else list(self.stages),
        }

    def build(self) -> Backbone:
        """Build the backbone, or return the given one.

        Raises:
            ConfigurationError: if the options contradict each other or name no backbone.
            WeightsError: if the weights cannot be found or downloaded.
        """
        if isinstance(self.backbone, Backbone):
            if self.weights is not None or self.arguments or self.stages is not None:
                raise ConfigurationError(
                    "weights, backbone arguments and stages need the name of a backbone, but "
                    "backbone is a Backbone: leave them out."
                )
            return self.backbone
        return TimmBackbone.load(
            self.backbone, weights=self.weights, arguments=dict(self.arguments), stages=self.stages
        )
