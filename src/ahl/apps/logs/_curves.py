"""An epoch as named numbers, for tools that draw a curve for each name."""

from __future__ import annotations

from ahl._common.history import EpochRecord


def curve_points(record: EpochRecord) -> dict[str, float]:
    """The mean losses, and losses and importance score of each base model, counted from 1."""
    points = {}
    for name, values in (
        ("support_loss", record.support_losses),
        ("query_loss", record.query_losses),
        ("importance", record.importance),
    ):
        if values and name != "importance":
            points[f"{name}/mean"] = sum(values) / len(values)
        for number, value in enumerate(values, start=1):
            points[f"{name}/base_model_{number}"] = value
    return points
