"""Feature networks of timm: built, with their stages and the sides they take."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import torch
from torch import nn

from ahl._common.errors import ConfigurationError
from ahl.features.backbones.names import check_name

DEFAULT_STAGE_COUNT: Final = 3
"""The last three stages: strides 8, 16 and 32 of the usual networks."""

TRANSFORMER_DEPTHS: Final = (1 / 3, 1 / 2, 2 / 3)
"""Of a plain vision transformer's blocks: its middle, where places are told apart best."""

LARGEST_NETWORK: Final = 2**31
"""Parameters and buffers, in numbers; more than that is no backbone but an attack."""


def with_positions(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments, with `dynamic_img_size` where a plain vision transformer needs it.

    Its positions are then fitted to each image size, which two scales need.
    """
    model = getattr(outline(name, arguments), "model", None)
    if getattr(model, "dynamic_img_size", None) is False:
        return {**arguments, "dynamic_img_size": True}
    return dict(arguments)


def patch_side(network: nn.Module) -> int:
    """Side in pixels of a vision transformer's patches; 1 for networks that take any size."""
    model: Any = getattr(network, "model", None)
    if not getattr(model, "dynamic_img_size", False) or model.patch_embed.dynamic_img_pad:
        return 1
    return int(model.patch_embed.patch_size[0])


def check_stages(name: str, stages: Sequence[int] | None, network: nn.Module) -> tuple[int, ...]:
    """Return the stages to join, checked against what the network has."""
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
    """Build the network without memory for its weights: its names, shapes and stages alone."""
    with torch.device("meta"):
        network = _create(name, arguments, {} if stages is None else {"out_indices": stages})
    if sum(value.numel() for value in network.state_dict().values()) > LARGEST_NETWORK:
        raise ConfigurationError(f"{name} with {dict(arguments)} is too large for a backbone.")
    return network


def build(name: str, arguments: Mapping[str, Any], stages: tuple[int, ...]) -> nn.Module:
    """Build the network, with fixed random weights that leave the caller's random state alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = _create(name, arguments, {"out_indices": stages})
    return network.to(memory_format=torch.channels_last)


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


def for_timm(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with tuples in place of lists, which timm takes."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()}


def first_line(error: BaseException) -> str:
    """First line of an error's message, without the pages that torch adds to it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200].rstrip(" .:") if lines else type(error).__name__
