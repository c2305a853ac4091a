"""Constants that rivals and parts of AHL use in the benchmark."""

from __future__ import annotations

from typing import Any

from ahl.config import default, paper

Settings = tuple[tuple[str, Any], ...]
"""Dotted names of config fields, such as `memory.patches`, with their values."""

PLAIN: Settings = (("vectors.components", 0), ("memory.patches", 0), ("calibration.folds", 0))
"""Settings of AHL's parts: no reduction, memory or calibration; AHL's constants otherwise."""

_LEARNING = ("learning.batch_size", "learning.averaged_epochs", "learning.inner_rate")
_HEADS = ("heads.initial_scale", "heads.pseudo_weight")

SHARED: dict[str, tuple[str, ...]] = {
    "dra": (
        *_LEARNING,
        *_HEADS,
        "heads.holistic_pseudo",
        "heads.residual_bottleneck",
        "heads.residual_channels",
        "heads.stored_references",
    ),
    "devnet": (*_LEARNING, *_HEADS),
    "saoe": (*_LEARNING, "learning.rounds", "learning.inner_steps", "vectors.l1_norm"),
}
"""Constants of the default preset that improve a rival over the paper's values
(docs/deviations.md#constants-that-rivals-share)."""


def published(*shared: str) -> Settings:
    """The paper's values of all fields that the default preset changes, except the shared ones.

    This includes our reduction, memory and calibration: a rival gets no constant that was chosen
    for AHL unless `shared` names it.
    """
    ours, theirs = default().to_dict(), paper().to_dict()
    return tuple(
        (f"{section}.{field}", value)
        for section, values in theirs.items()
        for field, value in values.items()
        if section not in ("features", "finetune")  # one for all methods of a run
        and value != ours[section][field]
        and f"{section}.{field}" not in shared
    )
