"""The extension point for backbones, which turn images into one joined feature map."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from safetensors.torch import save
from torch import Tensor, nn

from ahl._common.schema import json_hash

BackboneTensors = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class BackboneDescription:
    """Everything except the weights that is needed to rebuild a backbone, as JSON values."""

    kind: str
    settings: dict[str, Any]
    weights_sha256: str

    @property
    def fingerprint(self) -> str:
        """Hash of the description: backbones of equal fingerprints make equal features."""
        return json_hash([self.kind, self.settings, self.weights_sha256])


class Backbone(nn.Module, ABC):
    """Base class of backbones, which turn images into one feature map of several joined stages.

    A concrete backbone normalises its input, can be rebuilt from `settings()` and `tensors()`, and
    gives an image the same features in every batch.
    """

    kind: ClassVar[str]
    """Unique name of the implementation, kept in model files."""

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 3, H, W), float32 in 0..1, to features (N, C, h, w), float32.

        Any H and W of at least 16 pixels must work, with the same C.
        """

    def for_inference(self) -> Backbone:
        """A faster version for inference on a CPU; features differ by rounding only."""
        return self

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Settings that `rebuild` needs besides the tensors, as JSON values."""

    @property
    def multiple(self) -> int:
        """Number of pixels of which sides should be a multiple for whole cells at both scales.

        Twice the stride of the coarsest features, as the second scale has half the side. Other
        sides work, too, but leave cells partly outside the image.
        """
        return 64

    def tensors(self) -> BackboneTensors:
        """The weights by name, on the CPU, contiguous."""
        return {k: v.detach().cpu().contiguous() for k, v in self.state_dict().items()}

    @classmethod
    @abstractmethod
    def rebuild(cls, settings: dict[str, Any], tensors: BackboneTensors) -> Backbone:
        """Build the backbone that `settings()` and `tensors()` describe, without downloads.

        Raises:
            WeightsError: if the settings are invalid or the tensors do not match them.
        """

    def describe(self) -> BackboneDescription:
        """Describe the backbone by its kind, settings and the hash of its present weights."""
        return BackboneDescription(
            kind=self.kind, settings=self.settings(), weights_sha256=hash_tensors(self.tensors())
        )


def hash_tensors(tensors: BackboneTensors) -> str:
    """SHA-256 (hex) of the tensors' names, types, shapes and values."""
    return hashlib.sha256(save(dict(sorted(tensors.items())))).hexdigest()


def join_stages(stages: list[Tensor]) -> Tensor:
    """Average finer stages down to the coarsest grid and concatenate all channels.

    Maps (N, C_k, h_k, w_k), finest first, become (N, sum of C_k, h, w) on the last one's grid.
    """
    size = (stages[-1].shape[-2], stages[-1].shape[-1])
    pooled = [torch.nn.functional.adaptive_avg_pool2d(stage, size) for stage in stages[:-1]]
    return torch.cat([*pooled, stages[-1]], dim=1)
