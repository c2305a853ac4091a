"""timm networks by name, checked before they are built.

Names, arguments and stages may come from a stranger's model file, so only what timm itself ships
is built: no hub address, no path, no network larger than a backbone can be.
"""

from __future__ import annotations

import math
import re
import sys
import warnings
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from ahl._common.errors import ConfigurationError, WeightsError
from ahl.features.backbones._hub import quiet
from ahl.features.backbones.packaged import PACKAGED

DEFAULT_STAGE_COUNT = 3
"""The last three stages: strides 8, 16 and 32 of the usual networks."""

SHORT_NAMES = {
    "dinov2-small": "vit_small_patch14_dinov2",
    "dinov2-base": "vit_base_patch14_dinov2",
}
"""Names for timm models that people know under others (Oquab et al., 2023)."""

TRANSFORMER_DEPTHS = (1 / 3, 1 / 2, 2 / 3)
"""Of a plain vision transformer's blocks: its middle, where places are told apart best."""

LARGEST_NETWORK = 2**31
"""Parameters and buffers, in numbers; more than that is no backbone but an attack."""

_NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_\-]+)?")
_WORD = re.compile(r"[A-Za-z0-9_.+\-]{1,64}")
_LARGEST_NUMBER = 2048  # of blocks or channels; a list of them adds up to no more than this
# What `timm.create_model` takes beside the architecture: files, addresses, and what we set.
_RESERVED = re.compile(
    r"pretrained.*|feature.*|checkpoint.*|cache_dir|model_cfg|model_name|kwargs_filter|pruned"
    r"|out_indices|out_map|output_fmt|return_dict|in_chans|num_classes"
    r"|scriptable|exportable|no_jit|device|dtype"
)


def check_name(name: object) -> None:
    """Let only models through that timm itself ships: no hub address, no path."""
    import timm

    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} is not the name of a timm model, such as resnet18 (addresses and paths are "
            "not taken; local weights go with --weights FILE; the packaged networks are "
            f"{', '.join(PACKAGED)})."
        )
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        names = [*PACKAGED, *SHORT_NAMES, *timm.list_models()]
        close = get_close_matches(architecture, names, 3, 0.75)
        hint = f" Did you mean {', '.join(close)}?" if close else ""
        raise ConfigurationError(
            f"There is no backbone {architecture!r}: give the name of a timm model, or one of "
            f"{', '.join(PACKAGED)}.{hint}"
        )
    if tag and not timm.models.is_model_pretrained(name):
        known = ", ".join(timm.list_pretrained(f"{architecture}.*")) or "none"
        raise ConfigurationError(f"timm knows no weights {name!r}; of this model it has: {known}.")


def plain_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Check the arguments, which may come from a stranger's file, and make them JSON values."""
    plain = {}
    for key, value in arguments.items():
        if not isinstance(key, str) or not key.isidentifier() or _RESERVED.fullmatch(key):
            raise ConfigurationError(f"{key!r} is not a backbone argument you can set.")
        if not isinstance(value, (list, tuple)):
            plain[key] = _plain_value(key, value)
            continue
        plain[key] = [_plain_value(key, part) for part in value]
        # Without a limit, a few numbers in a file could ask for millions of layers.
        if sum(abs(part) for part in value if isinstance(part, (int, float))) > _LARGEST_NUMBER:
            raise ConfigurationError(
                f"Backbone argument {key} is {value!r}; its numbers may add up to "
                f"{_LARGEST_NUMBER} at most."
            )
    return plain


def _plain_value(key: str, value: object) -> object:
    match value:
        case None | bool():
            return value
        case int() if abs(value) <= _LARGEST_NUMBER:
            return value
        case float() if math.isfinite(value) and abs(value) <= _LARGEST_NUMBER:
            return value
        case str() if _WORD.fullmatch(value):
            return value
    raise ConfigurationError(
        f"Backbone argument {key} is {value!r}; it must be a word, a number up to "
        f"{_LARGEST_NUMBER}, True, False or a short list of them."
    )


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


def as_timm_names(network: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A vision transformer's weights as timm names them, its positions in the network's grid.

    Weights as their authors publish them, or of another image size, become those of the network;
    the weights of other networks are returned as they are.
    """
    model: Any = getattr(network, "model", None)
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if not hasattr(model, "dynamic_img_size") or convert is None:
        return state
    try:
        with quiet("timm"):
            converted: dict[str, Tensor] = convert(state, model)
    except Exception as error:  # timm's conversion checks nothing by itself
        raise WeightsError(
            f"The weights do not fit this vision transformer ({first_line(error)}). Give the timm "
            "name of the network they were saved from, such as vit_small_patch14_reg4_dinov2."
        ) from error
    return converted


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
    # The weights drawn here are replaced; the caller's random state is not to notice them.
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
    return {k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()}


def first_line(error: BaseException) -> str:
    """What an error says, without the pages that torch adds to it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200].rstrip(" .:") if lines else type(error).__name__
