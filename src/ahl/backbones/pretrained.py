"""Backbones by timm name, with timm's own download or a local weights file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ahl.backbones.base import Backbone, BackboneTensors, join_stages
from ahl.errors import ConfigurationError, WeightsError

DEFAULT_STAGES = (2, 3, 4)
"""Strides 8, 16 and 32 of the usual five-stage networks."""

WAYS_OUT = (
    "Ways out: run once where the internet can be reached (timm keeps the weights), give a "
    "local file with --weights FILE (a safetensors state dict of the same timm model), or use "
    "--backbone patches, which learns its filters from your images and needs no weights."
)


@final
class TimmBackbone(Backbone):
    """Stages of a timm classification network, frozen.

    Use `load` to get one with weights; the constructor builds the architecture alone.

    Args:
        name: timm model name, such as `resnet18`; never a hub address.
        arguments: further arguments of `timm.create_model`, such as `{"pad_type": "same"}`.
        stages: indices of the stages to join, increasing.
        mean: of each input channel, in 0..1.
        std: of each input channel.
    """

    kind = "timm"

    def __init__(
        self,
        *,
        name: str,
        arguments: dict[str, Any],
        stages: tuple[int, ...],
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
    ) -> None:
        super().__init__()
        self.name, self.arguments, self.stages = name, dict(arguments), stages
        self.mean, self.std = mean, std
        self.network = _create(name, arguments, stages)
        self.register_buffer("shift", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.eval()

    @classmethod
    def load(
        cls,
        name: str = "resnet18",
        *,
        weights: Path | None = None,
        arguments: dict[str, Any] | None = None,
        stages: tuple[int, ...] = DEFAULT_STAGES,
    ) -> TimmBackbone:
        """Build a network with pretrained weights.

        Args:
            name: timm model name.
            weights: local safetensors state dict; None downloads through timm.
            arguments: further arguments of `timm.create_model`; `mean` and `std`, three numbers
                each, override what timm knows of the weights' normalisation.
            stages: indices of the stages to join.

        Raises:
            ConfigurationError: if the model, a stage or an argument does not exist.
            WeightsError: if the weights cannot be reached, read or fitted.
        """
        arguments = dict(arguments or {})
        mean, std = arguments.pop("mean", None), arguments.pop("std", None)
        known_mean, known_std = _normalisation(name, arguments)
        backbone = cls(
            name=name,
            arguments=arguments,
            stages=stages,
            mean=_three_numbers("mean", mean or known_mean),
            std=_three_numbers("std", std or known_std),
        )
        state = _download(name, arguments) if weights is None else _read_weights(weights)
        _fit(backbone.network, state, source=str(weights or f"timm's {name}"))
        return backbone

    def forward(self, images: Tensor) -> Tensor:
        """See `Backbone.forward`."""
        normalised = (images - self.shift) / self.scale
        stages: list[Tensor] = self.network(
            normalised.contiguous(memory_format=torch.channels_last)
        )
        return join_stages(stages)

    def settings(self) -> dict[str, Any]:
        """See `Backbone.settings`."""
        return {
            "name": self.name,
            "arguments": self.arguments,
            "stages": list(self.stages),
            "mean": list(self.mean),
            "std": list(self.std),
        }

    @classmethod
    def rebuild(cls, settings: dict[str, Any], tensors: BackboneTensors) -> TimmBackbone:
        """See `Backbone.rebuild`; nothing is downloaded."""
        try:
            backbone = cls(
                name=str(settings["name"]),
                arguments=dict(settings["arguments"]),
                stages=tuple(int(stage) for stage in settings["stages"]),
                mean=_three_numbers("mean", settings["mean"]),
                std=_three_numbers("std", settings["std"]),
            )
            backbone.load_state_dict(tensors)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise WeightsError(f"The stored backbone cannot be rebuilt: {error}") from error
        return backbone


def _create(name: str, arguments: dict[str, Any], stages: tuple[int, ...]) -> nn.Module:
    import timm

    # is_model also keeps out hub addresses ("hf-hub:..."), which would reach the network.
    if ":" in name or not timm.is_model(name.split(".", maxsplit=1)[0]):
        close = ", ".join(timm.list_models(f"*{name.split('.', maxsplit=1)[0]}*")[:5])
        hint = f" Did you mean {close}?" if close and ":" not in name else ""
        raise ConfigurationError(f"timm has no model named {name!r}.{hint}")
    reserved = {
        "pretrained",
        "features_only",
        "out_indices",
        "checkpoint_path",
        "pretrained_cfg",
        "pretrained_cfg_overlay",
        "cache_dir",
    } & set(arguments)
    if reserved:
        raise ConfigurationError(f"{sorted(reserved)[0]} is not a backbone argument you can set.")
    try:
        network: nn.Module = timm.create_model(
            name, pretrained=False, features_only=True, out_indices=stages, **arguments
        )
    except (
        TypeError,
        RuntimeError,
        ValueError,
        IndexError,
        AssertionError,
        AttributeError,
    ) as error:
        raise ConfigurationError(
            f"timm cannot build {name} with stages {list(stages)} and {arguments}: {error}"
        ) from error
    return network.eval().to(memory_format=torch.channels_last)


def _normalisation(
    name: str, arguments: dict[str, Any]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std that timm records for the model's weights (ImageNet's where it has none)."""
    from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, IMAGENET_INCEPTION_MEAN
    from timm.data.constants import IMAGENET_INCEPTION_STD
    from timm.models import get_pretrained_cfg

    if arguments.get("pad_type") == "same":
        # TensorFlow's padding goes with TensorFlow's weights, trained on inputs in -1..1.
        return IMAGENET_INCEPTION_MEAN, IMAGENET_INCEPTION_STD
    known = get_pretrained_cfg(name, allow_unregistered=True)
    if known is None:
        return IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
    return known.mean, known.std


def _three_numbers(field: str, value: object) -> tuple[float, float, float]:
    if isinstance(value, (int, float)):
        value = (value, value, value)
    if isinstance(value, str):
        value = value.split(",")
    try:
        first, second, third = (float(part) for part in value)  # type: ignore[attr-defined]
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{field} is {value!r}; it must be three numbers.") from error
    if field == "std" and min(first, second, third) <= 0:
        raise ConfigurationError("std must be positive.")
    return first, second, third


def _download(name: str, arguments: dict[str, Any]) -> BackboneTensors:
    import timm

    # Hugging Face's client retries for minutes by default; a factory floor has no internet.
    os.environ.setdefault("HF_HUB_ETAG_TIMEOUT", "5")
    try:
        network = timm.create_model(name, pretrained=True, **arguments)
    except Exception as error:  # the clients below timm raise a dozen unrelated types
        raise WeightsError(
            f"The pretrained weights of {name} cannot be reached "
            f"({type(error).__name__}). {WAYS_OUT}"
        ) from error
    return dict(network.state_dict())


def _read_weights(path: Path) -> BackboneTensors:
    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise WeightsError(f"There is no weights file {path}.") from error
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise WeightsError(
            f"{path} is not a readable safetensors file ({error}). Convert a torch checkpoint "
            "with safetensors.torch.save_file(state_dict, path)."
        ) from error


def _fit(network: nn.Module, state: BackboneTensors, *, source: str) -> None:
    """Load what the stages need; a classifier left over in the state dict is ignored."""
    wanted = network.state_dict()
    flat = {key.replace(".", "_"): key for key in wanted}  # timm flattens names it cuts through
    found: BackboneTensors = {}
    for key, value in state.items():
        target = key if key in wanted else flat.get(key.replace(".", "_"))
        if target is not None:
            found[target] = value
    missing = [k for k in wanted if k not in found and not k.endswith("num_batches_tracked")]
    if missing:
        raise WeightsError(
            f"{source} lacks {len(missing)} of the {len(wanted)} tensors this backbone needs, "
            f"such as {missing[0]}: it belongs to another architecture."
        )
    wrong = [k for k, v in found.items() if v.shape != wanted[k].shape]
    if wrong:
        raise WeightsError(
            f"{source}: {wrong[0]} has shape {tuple(found[wrong[0]].shape)}, the backbone needs "
            f"{tuple(wanted[wrong[0]].shape)}: it belongs to another architecture."
        )
    network.load_state_dict(found, strict=False)
