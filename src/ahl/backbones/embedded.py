"""The backbone inside the package: no download, no images of anybody's, no licence question.

A ResNet-18 of half the width (He et al., CVPR 2016), trained by `python -m ahl.pretrain` on images
that this project draws itself. Its card is `weights/embedded.md` beside its weights.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load

from ahl.backbones.pretrained import TimmBackbone
from ahl.errors import WeightsError

EMBEDDED: Final = "embedded"
"""What asks for it where a backbone is named."""

ARCHITECTURE: Final[dict[str, Any]] = {
    "name": "resnet18",
    # Without zero_init_last a residual block of the untrained network is more than its shortcut.
    "arguments": {"channels": [32, 64, 128, 256], "zero_init_last": False},
    "mean": (0.5, 0.5, 0.5),
    "std": (0.25, 0.25, 0.25),
}
"""What `TimmBackbone` is made of."""

WEIGHTS: Final = "embedded.safetensors"
SHA256: Final = "0000000000000000000000000000000000000000000000000000000000000000"
"""Of the weights file that belongs to this version."""


def weights_file() -> Path:
    """Where the installed weights are."""
    return Path(__file__).parent / "weights" / WEIGHTS


def embedded_backbone() -> TimmBackbone:
    """The trained backbone, from the package's own files.

    Raises:
        WeightsError: if the installed weights are missing or not those of this version.
    """
    file, again = weights_file(), "Install ahl again."
    try:
        data = file.read_bytes()
    except OSError as error:
        raise WeightsError(f"The embedded weights {file} cannot be read. {again}") from error
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise WeightsError(f"The embedded weights {file} are not those of this version. {again}")
    backbone = TimmBackbone(**ARCHITECTURE)
    # Half precision in the file, single in use.
    state = {name: tensor.float() for name, tensor in load(data).items()}
    backbone.fit_weights(state, source="The installed version of timm or ahl: its embedded file")
    return backbone


def untrained_backbone(seed: int) -> TimmBackbone:
    """The same architecture with random weights."""
    backbone = TimmBackbone(**ARCHITECTURE)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in backbone.parameters():
            if parameter.ndim > 1:
                fan_out = parameter.shape[0] * parameter[0, 0].numel()
                parameter.normal_(0.0, (2 / fan_out) ** 0.5, generator=generator)
    return backbone
