"""Torch devices, set up for repeatable results."""

from __future__ import annotations

import os
from typing import Literal, get_args

import torch

from ahl._common.errors import ConfigurationError

DeviceName = Literal["auto", "cpu", "cuda"]


def resolve_device(name: str) -> torch.device:
    """Return the device for `auto`, `cpu` or `cuda`, set up for repeatable results.

    Raises:
        ConfigurationError: if the name is unknown, or there is no CUDA device.
    """
    if name not in get_args(DeviceName):
        raise ConfigurationError(f"device is {name!r}; it must be auto, cpu or cuda.")
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ConfigurationError("There is no CUDA device here; use --device cpu or auto.")
    if name == "cpu" or not available:
        return torch.device("cpu")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats itself only so
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda")
