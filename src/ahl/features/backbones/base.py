"""The extension point for backbones: images in, one joined feature map out."""

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
    """Everything but the weights that is needed to build a backbone again; JSON values only."""

    kind: str
    settings: dict[str, Any]
    weights_sha256: str

    @property
    def fingerprint(self) -> str:
        """Hash of the whole description: equal fingerprints make equal features."""
        return json_hash([self.kind, self.settings, self.weights_sha256])


class Backbone(nn.Module, ABC):
    """Turns images into one feature map, several stages joined.

    A concrete backbone normalises its input itself, is built from `settings()` and `tensors()`
    by `rebuild`, and gives an image the same features whatever else is in the batch.
    """

    kind: ClassVar[str]
    """Unique name of the implementation, kept in model files."""

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 3, H, W), float32 in 0..1, to features (N, C, h, w), float32.

        Any H and W of at least 16 pixels must work, for full and for half size alike, with the
        same C.
        """

    def for_inference(self) -> Backbone:
        """The backbone as a processor runs it fastest: the same features, but for rounding."""
        return self

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Settings that `rebuild` needs beside the tensors, as JSON values."""

    @property
    def multiple(self) -> int:
        """Pixels of which a side should be a multiple, so that whole cells cover both scales.

        Twice the stride of the coarsest features: the second scale has half the side. Any side
        works; others leave cells that lie partly outside.
        """
        return 64

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


def join_stages(stages: list[Tensor]) -> Tensor:
    """Average finer stages down to the coarsest grid and stack all channels.

    (N, C_k, h_k, w_k) maps, finest first, to (N, sum of C_k, h, w) of the last one.
    """
    size = (stages[-1].shape[-2], stages[-1].shape[-1])
    pooled = [torch.nn.functional.adaptive_avg_pool2d(stage, size) for stage in stages[:-1]]
    return torch.cat([*pooled, stages[-1]], dim=1)
