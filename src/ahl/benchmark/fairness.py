"""Which constants of a run reach which methods of the benchmark."""

from __future__ import annotations

from typing import Any

from ahl.config import default, paper

Settings = tuple[tuple[str, Any], ...]
"""Dotted names of config fields, such as `memory.patches`, with their values."""

PLAIN: Settings = (("vectors.components", 0), ("memory.patches", 0), ("calibration.folds", 0))
"""For parts of AHL: without our reduction, memory and calibration, with its other constants."""

RIVAL_CONSTANTS = (
    "learning.batch_size",
    "learning.averaged_epochs",
    "learning.inner_rate",
    "heads.initial_scale",
    "heads.pseudo_weight",
    "heads.holistic_pseudo",
    "heads.residual_bottleneck",
    "heads.residual_channels",
    "heads.stored_references",
)
"""Constants of the default preset that rivals share: they do not lose by them
(docs/deviations.md#constants-that-rivals-share)."""


def _published() -> Settings:
    """What the default preset has otherwise than the paper, taken back, but for those shared."""
    ours, theirs = default().to_dict(), paper().to_dict()
    return tuple(
        (f"{section}.{field}", value)
        for section, values in theirs.items()
        for field, value in values.items()
        if section not in ("features", "finetune")  # one for all methods of a run
        and value != ours[section][field]
        and f"{section}.{field}" not in RIVAL_CONSTANTS
    )


PUBLISHED: Settings = _published()
"""For rivals: as published, but for `RIVAL_CONSTANTS`. Our reduction, memory and calibration are
no part of them, and no constant that was chosen for AHL reaches them unless it is listed."""
