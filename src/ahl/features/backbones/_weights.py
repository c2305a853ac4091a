"""Weights of timm networks: read, downloaded and fitted to what a backbone needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ahl._common.errors import WeightsError
from ahl.features.backbones._checks import check_tensors
from ahl.features.backbones._hub import WAYS_OUT, fetch_weights, quiet
from ahl.features.backbones._timm_models import first_line, for_timm
from ahl.features.backbones.base import BackboneTensors

CHECKPOINT_SUFFIXES = (".pth", ".pt")
"""Of torch checkpoints, as most authors publish weights."""


def downloaded(name: str, arguments: Mapping[str, Any]) -> BackboneTensors:
    """State dict of the whole pretrained network, read by timm, which knows its formats."""
    import timm

    path = fetch_weights(name)
    try:
        with quiet("timm"), torch.random.fork_rng(devices=[]):
            network = timm.create_model(
                name,
                pretrained=True,
                pretrained_cfg_overlay={"file": str(path)},
                **for_timm(arguments),
            )
    except Exception as error:  # a damaged file and a foreign shape raise in many ways
        raise WeightsError(
            f"The pretrained weights of {name} do not fit ({first_line(error)}). Leave out "
            f"--backbone-arg options that change the architecture, or delete {path} if it is "
            f"damaged. {WAYS_OUT}"
        ) from error
    return dict(network.state_dict())


def read_weights(path: Path) -> BackboneTensors:
    """Tensors by name of a local file.

    Raises:
        WeightsError: if there is no such file, or it holds anything else.
    """
    try:
        if path.suffix in CHECKPOINT_SUFFIXES:
            return _checkpoint(path)
        return load_file(path)
    except FileNotFoundError as error:
        raise WeightsError(f"There is no weights file {path}.") from error
    except (OSError, SafetensorError, ValueError) as error:
        raise WeightsError(
            f"{path} is no readable weights file ({first_line(error)}). Give a safetensors file, "
            "or a torch checkpoint (.pth, .pt) that holds tensors by name and nothing else."
        ) from error


def _checkpoint(path: Path) -> BackboneTensors:
    """Tensors by name of a torch checkpoint; nothing in it is run."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, KeyError) as error:
        raise ValueError(first_line(error)) from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError("it holds more than tensors by name")
    return {str(key): value for key, value in state.items()}


def fit(network: nn.Module, state: BackboneTensors, *, source: str) -> None:
    """Load what the stages need; a classifier left over in the state dict is ignored."""
    wanted = network.state_dict()
    # timm's feature networks rename what they cut through (stem.0 to stem_0) or wrap.
    flat = {_flatten(key.removeprefix("model.").removeprefix("body.")): key for key in wanted}
    found: BackboneTensors = {}
    for key, value in state.items():
        target = key if key in wanted else flat.get(_flatten(key))
        if target is not None:
            found[target] = value
    missing = [k for k in wanted if k not in found and not k.endswith("num_batches_tracked")]
    if missing:
        raise WeightsError(
            f"{source} lacks {len(missing)} of the {len(wanted)} tensors this backbone needs, "
            f"such as {missing[0]}: it belongs to another architecture. Give the timm name (and "
            "every --backbone-arg) of the network it was saved from."
        )
    try:
        check_tensors(found, wanted, exact=False)
    except ValueError as error:
        raise WeightsError(
            f"{source} does not fit: {error}. Give the timm name (and every --backbone-arg) of the "
            "network it was saved from."
        ) from error
    network.load_state_dict(found, strict=False)


def _flatten(key: str) -> str:
    return key.replace(".", "_")
