"""The trained weights as they are shipped."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save

from ahl.backbones.embedded import EmbeddedBackbone
from ahl.errors import WeightsError
from ahl.files import written_whole


def write_weights(backbone: EmbeddedBackbone, path: Path) -> None:
    """Write a backbone's state in half precision, the same bytes for the same weights.

    Raises:
        WeightsError: if a number is too large for half precision, or none at all.
    """
    state = backbone.tensors()
    tensors = {name: state[name].to(torch.float16).contiguous() for name in sorted(state)}
    bad = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if bad:
        raise WeightsError(f"{bad[0]} holds numbers that half precision cannot: nothing written.")
    with written_whole(path) as temporary:
        temporary.write_bytes(save(tensors))
