"""The plug for backbones: images in, one joined feature map out."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

BackboneTensors = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class BackboneDescription:
    """Everything but the weights that is needed to build a backbone again.

    Attributes:
        kind: `Backbone.kind` of the class that made it.
        settings: its settings, JSON values only.
        weights_sha256: hash of the tensors, in hex.
    """

    kind: str
    settings: dict[str, Any]
    weights_sha256: str

    @property
    def fingerprint(self) -> str:
        """Hash of the whole description: equal fingerprints make equal features."""
        text = json.dumps([self.kind, self.settings, self.weights_sha256], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


class Backbone(nn.Module, ABC):
    """Turns images into one feature map, all stages joined.

    A concrete backbone normalises its input itself, is built from `settings()` and `tensors()`
    by `rebuild`, and gives an image the same features whatever else is in the batch.
    """

    kind: ClassVar[str]
    """Unique name of the implementation, kept in model files."""

    @abstractmethod
    def forward(self, images: Tensor, cells: int = 0) -> Tensor:
        """Map images to features.

        Any H and W of at least 16 pixels must work, for full and for half size alike, with the
        same C.

        Args:
            images: (N, 3, H, W), float32 in 0..1.
            cells: side of the grid that the features are of; 0 leaves it to the backbone.

        Returns:
            (N, C, cells, cells), float32; or (N, C, h, w) on its own grid, where C may differ.
        """

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What `rebuild` needs beside the tensors, as JSON values."""

    def tensors(self) -> BackboneTensors:
        """The weights by name, on the CPU, contiguous."""
        return {k: v.detach().cpu().contiguous() for k, v in self.state_dict().items()}

    @classmethod
    @abstractmethod
    def rebuild(cls, settings: dict[str, Any], tensors: BackboneTensors) -> Backbone:
        """Build the backbone that `settings()` and `tensors()` describe, without a network.

        Raises:
            WeightsError: if the settings are not of this kind or the tensors do not fit.
        """

    def describe(self) -> BackboneDescription:
        """Kind, settings and the hash of the weights as they are now."""
        return BackboneDescription(
            kind=self.kind, settings=self.settings(), weights_sha256=hash_tensors(self.tensors())
        )


def hash_tensors(tensors: BackboneTensors) -> str:
    """SHA-256, in hex, of the tensors' names, types, shapes and values."""
    return hashlib.sha256(save(dict(sorted(tensors.items())))).hexdigest()


LEAST_VARIANCE: Final = 1e-8
"""Of a channel within a cell, before its root is taken."""


def join_stages(stages: list[Tensor], cells: int = 0) -> Tensor:
    """Bring stages onto one grid and stack all channels.

    Args:
        stages: (N, C_k, h_k, w_k), finest first.
        cells: side of the grid; 0 is that of the last stage.

    Returns:
        (N, sum of 2 C_k, cells, cells), mean and spread of every channel in every cell: a mean
        alone hides a response that is strong in one corner. On the last stage's grid, means alone:
        (N, sum of C_k, h, w).
    """
    if cells:
        return torch.cat([part for stage in stages for part in _in_cells(stage, cells)], dim=1)
    size = (stages[-1].shape[-2], stages[-1].shape[-1])
    pooled = [functional.adaptive_avg_pool2d(stage, size) for stage in stages[:-1]]
    return torch.cat([*pooled, stages[-1]], dim=1)


def _in_cells(stage: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    mean = functional.adaptive_avg_pool2d(stage, cells)
    square = functional.adaptive_avg_pool2d(stage * stage, cells)
    return mean, (square - mean * mean).clamp_min(LEAST_VARIANCE).sqrt()
