"""Networks of timm as backbones: their stages, input sizes and weights."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from ahl._common.errors import ConfigurationError, WeightsError
from ahl._common.text import first_line
from ahl.config import DEFAULT_BACKBONE
from ahl.config.image_size import SMALLEST_SIDE
from ahl.features.backbones.base import Backbone, BackboneTensors, join_stages
from ahl.features.backbones.names import (
    PACKAGED,
    SHORT_NAMES,
    Three,
    check_name,
    for_timm,
    plain_arguments,
    three_numbers,
)
from ahl.features.backbones.weights import (
    IMAGENET,
    as_timm_names,
    check_computed,
    check_tensors,
    downloaded,
    fit,
    normalisation_of,
    read_packaged,
    read_weights,
)

DEFAULT_STAGE_COUNT: Final = 3
"""Number of last stages that are joined by default; their strides are usually 8, 16 and 32."""

TRANSFORMER_DEPTHS: Final = (1 / 3, 1 / 2, 2 / 3)
"""Relative depths of the joined blocks of a plain vision transformer: the middle localises best."""

LARGEST_NETWORK: Final = 2**31
"""Largest number of values in parameters and buffers; larger ones are taken for an attack."""


@final
class TimmBackbone(Backbone):
    """Stages of a timm classification network, or blocks of a plain vision transformer.

    A transformer's position embeddings are resized to each image size; images whose sides are not
    multiples of its patch are resized to the nearest ones.

    Use `load` for pretrained weights; the constructor builds the architecture with fixed random
    weights, and downloads nothing.

    Args:
        name: timm model name, such as `resnet18` or `resnet18.a1_in1k`; never an address or path.
        arguments: further arguments of `timm.create_model`, such as `{"pad_type": "same"}`:
            words, numbers, booleans or lists of them.
        stages: indices of the stages to join, increasing; None takes the last three of a
            network, and blocks at a third, half and two thirds of a transformer's depth.
        mean: mean of each input channel, in 0..1.
        std: standard deviation of each input channel, positive.

    Raises:
        ConfigurationError: if the model, an argument or a stage does not exist, or the network
            accepts only one image size.
    """

    kind = "timm"
    shift: Tensor
    scale: Tensor

    def __init__(
        self,
        *,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        stages: Sequence[int] | None = None,
        mean: Three = IMAGENET[0],
        std: Three = IMAGENET[1],
    ) -> None:
        super().__init__()
        self.name, self.arguments = name, plain_arguments(arguments or {})
        self.mean, self.std = three_numbers("mean", mean), three_numbers("std", std)
        model = getattr(outline(name, self.arguments), "model", None)
        if getattr(model, "dynamic_img_size", None) is False:  # positions fit one size alone
            self.arguments["dynamic_img_size"] = True
        self.stages = check_stages(name, stages, outline(name, self.arguments))
        with torch.random.fork_rng(devices=[]):  # leaves the caller's random state alone
            torch.manual_seed(0)
            network = _create(name, self.arguments, {"out_indices": self.stages})
        self.network = network.to(memory_format=torch.channels_last)
        self._patch = patch_side(self.network)
        self.register_buffer("shift", torch.tensor(self.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(self.std).view(1, 3, 1, 1), persistent=False)
        self.eval()
        self._try_out()

    @classmethod
    def load(
        cls,
        name: str = DEFAULT_BACKBONE,
        *,
        weights: Path | None = None,
        arguments: Mapping[str, Any] | None = None,
        stages: Sequence[int] | None = None,
    ) -> TimmBackbone:
        """Build a network with pretrained weights.

        Args:
            name: timm model name, or one of `PACKAGED` and `SHORT_NAMES` for some of these.
            weights: local state dict of the same timm model, with or without its classifier, as
                safetensors or a torch checkpoint; for vision transformers also as their authors
                publish it, for any image size. None: the weights of the package, or timm's own
                from the hub's cache or by download.
            arguments: as for the constructor; `mean` and `std` among them, one number or three,
                override `normalisation_of` the weights.
            stages: as for the constructor.

        Raises:
            ConfigurationError: as for the constructor.
            WeightsError: if the weights cannot be found, downloaded or read, or do not fit.
        """
        name, arguments = SHORT_NAMES.get(name, name), dict(arguments or {})
        mean, std = arguments.pop("mean", None), arguments.pop("std", None)
        # Before anything slow, so that a mistyped path is an error at once.
        source, state = str(weights or name), None if weights is None else read_weights(weights)
        if name in PACKAGED:
            name, state = read_packaged(name, weights=weights)
        check_name(name)
        known_mean, known_std = normalisation_of(name, arguments, local=weights is not None)
        backbone = cls(
            name=name,
            arguments=arguments,
            stages=stages,
            mean=known_mean if mean is None else mean,
            std=known_std if std is None else std,
        )
        if state is None:
            state = downloaded(name, backbone.arguments)
        else:
            state = as_timm_names(backbone.network, state)
        fit(backbone.network, state, source=source)
        return backbone

    def forward(self, images: Tensor) -> Tensor:
        """Map images to features, see `Backbone.forward`; sides are at least `SMALLEST_SIDE`."""
        size = [
            max(round(side / self._patch), math.ceil(SMALLEST_SIDE / self._patch)) * self._patch
            for side in images.shape[-2:]
        ]
        if size != list(images.shape[-2:]):
            images = functional.interpolate(images, size, mode="bilinear", align_corners=False)
        normalised = (images - self.shift) / self.scale
        stages = self.network(normalised.contiguous(memory_format=torch.channels_last))
        if getattr(self.network, "output_fmt", "NCHW") == "NHWC":
            stages = [stage.permute(0, 3, 1, 2) for stage in stages]
        return join_stages(list(stages))

    def for_inference(self) -> TimmBackbone:
        """A faster version for inference, see `Backbone.for_inference`."""
        from ahl.features.backbones.fused import fused_network  # it loads timm

        faster = copy.copy(self)  # the weights are shared
        faster._modules = {**self._modules, "network": fused_network(self.network)}
        return faster

    @property
    def multiple(self) -> int:
        """Twice the last joined stage's stride, see `Backbone.multiple`."""
        return 2 * int(self.network.feature_info.reduction()[-1])  # type: ignore[operator, union-attr]

    def settings(self) -> dict[str, Any]:
        """Arguments of the constructor, see `Backbone.settings`."""
        return {
            "name": self.name,
            "arguments": self.arguments,
            "stages": list(self.stages),
            "mean": list(self.mean),
            "std": list(self.std),
        }

    @classmethod
    def rebuild(cls, settings: dict[str, Any], tensors: BackboneTensors) -> TimmBackbone:
        """Rebuild from settings and tensors, see `Backbone.rebuild`; nothing is downloaded."""
        try:
            name, stages = settings["name"], settings["stages"]
            arguments = plain_arguments(settings["arguments"])
            # Compared before the network is built, so that no settings can exhaust the memory.
            chosen = check_stages(name, stages, outline(name, arguments))
            network = outline(name, arguments, chosen)
            wanted = {f"network.{key}": value for key, value in network.state_dict().items()}
            check_tensors(tensors, wanted)
            check_computed(network)
            backbone = cls(
                name=name,
                arguments=arguments,
                stages=stages,
                mean=settings["mean"],
                std=settings["std"],
            )
            if backbone.settings() != settings:
                raise ValueError(f"its settings are {settings!r:.200}")  # noqa: TRY301
            backbone.load_state_dict(tensors)
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise WeightsError(
                f"The stored backbone cannot be rebuilt ({error}): the file is damaged, or another "
                "version of timm is installed than the one it was made with."
            ) from error
        return backbone

    def _try_out(self) -> None:
        """Refuse networks that do not accept images of any size."""
        try:
            with torch.inference_mode():
                self(torch.zeros(1, 3, 37, 45))
        except Exception as error:  # networks check their input each in their own way
            raise ConfigurationError(
                f"{self.name} does not take images of any size, which two scales need "
                f"({first_line(error)}). Choose a convolutional network or a plain vision "
                "transformer, such as efficientnet-lite0, resnet18 or dinov2-small."
            ) from error


def patch_side(network: nn.Module) -> int:
    """Side in pixels of a vision transformer's patches; 1 for networks that accept any size."""
    model: Any = getattr(network, "model", None)
    if not getattr(model, "dynamic_img_size", False) or model.patch_embed.dynamic_img_pad:
        return 1
    return int(model.patch_embed.patch_size[0])


def check_stages(name: str, stages: Sequence[int] | None, network: nn.Module) -> tuple[int, ...]:
    """Return the stages to join, checked against those of the network.

    Raises:
        ConfigurationError: if they are not increasing indices of its stages.
    """
    info: Any = network.feature_info
    strides = [int(stage["reduction"]) for stage in info.info]
    if stages is None:
        if patch_side(network) > 1:
            middle = {round(share * len(strides)) for share in TRANSFORMER_DEPTHS}
            return tuple(sorted(block for block in middle if block < len(strides)))
        return tuple(range(len(strides)))[-DEFAULT_STAGE_COUNT:]
    chosen = list(stages)
    if (
        not chosen
        or any(type(stage) is not int or not 0 <= stage < len(strides) for stage in chosen)
        or any(later <= earlier for earlier, later in pairwise(chosen))
    ):
        raise ConfigurationError(
            f"Stages are {chosen}; choose increasing numbers from 0 to {len(strides) - 1}: "
            f"the stages of {name} have strides {', '.join(map(str, strides))}."
        )
    return tuple(chosen)


def outline(
    name: str, arguments: Mapping[str, Any], stages: tuple[int, ...] | None = None
) -> nn.Module:
    """Build the network on the meta device, which takes no memory for its weights.

    Raises:
        ConfigurationError: if the model does not exist, or is larger than `LARGEST_NETWORK`.
    """
    with torch.device("meta"):
        network = _create(name, arguments, {} if stages is None else {"out_indices": stages})
    if sum(value.numel() for value in network.state_dict().values()) > LARGEST_NETWORK:
        raise ConfigurationError(f"{name} with {dict(arguments)} is too large for a backbone.")
    return network


def _create(name: str, arguments: Mapping[str, Any], how: Mapping[str, Any]) -> nn.Module:
    import timm

    check_name(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated names, for one: timm maps them
        try:
            network: nn.Module = timm.create_model(
                name, pretrained=False, features_only=True, **for_timm(arguments), **how
            )
        except Exception as error:  # timm's constructors check next to nothing by themselves
            raise ConfigurationError(
                f"timm cannot build {name} with {dict(arguments)}: {first_line(error)}. Check the "
                "name and every --backbone-arg."
            ) from error
    return network.eval()
