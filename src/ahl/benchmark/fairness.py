"""Constants of a run that reach the methods of the benchmark."""

from __future__ import annotations

from typing import Any

from ahl.config import default, paper

Settings = tuple[tuple[str, Any], ...]
"""Dotted names of config fields, such as `memory.patches`, with their values."""

PLAIN: Settings = (("vectors.components", 0), ("memory.patches", 0), ("calibration.folds", 0))
"""For parts of AHL: without our reduction, memory and calibration, with its other constants."""

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
"""Constants of the default preset by which a rival does better than by those of the paper
(docs/deviations.md#constants-that-rivals-share)."""


def published(*shared: str) -> Settings:
    """The paper's values of all that the default preset has otherwise, but for what is shared.

    Our reduction, memory and calibration are taken back with the rest: no constant that was chosen
    for AHL reaches a rival unless it is named.
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
