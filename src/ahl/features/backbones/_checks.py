"""What every backbone checks before it loads tensors that come from a file."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ahl.features.backbones.base import Backbone


def check_settings(backbone: Backbone, settings: object) -> None:
    """Raise ValueError unless the settings are exactly those that the backbone would write."""
    if backbone.settings() != settings:
        raise ValueError(f"its settings are {settings!r:.200}")


def check_tensors(
    tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], *, exact: bool = True
) -> None:
    """Raise ValueError unless shapes and types fit and all numbers are finite.

    Args:
        tensors: to be loaded.
        wanted: of the network, at least the same names.
        exact: whether missing names and other float types are refused, too.
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
