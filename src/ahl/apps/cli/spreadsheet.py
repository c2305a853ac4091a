"""Predictions as a table for spreadsheets."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ahl._common.files import written_whole
from ahl._common.text import printable

_PLACE: Final = ("top", "left", "bottom", "right")

COLUMNS: Final = (
    *("path", "verdict", "anomalous", "score", "probability", "trained_on", "why"),
    *("nearest_anomaly", "nearest_normal", *_PLACE, "heat_map", "error"),
)
"""Columns of the table. The box is the strongest place, in shares of the height and width."""


def write_csv(rows: Sequence[Mapping[str, Any]], output: Path) -> None:
    """Write the JSON values of images as a CSV file, in UTF-8; missing values are empty.

    Args:
        rows: of each image, as `ahl predict --json` prints them.
        output: the file, replaced only when the new one is complete; its folder is made.
    """
    with written_whole(output) as path, path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(map(_row, rows))


def _row(values: Mapping[str, Any]) -> dict[str, Any]:
    row = {name: values[name] for name in COLUMNS if name in values}
    if "why" in values:
        row["why"] = "; ".join(meaning for meaning, _ in values["why"])
    for name in ("nearest_anomaly", "nearest_normal"):
        if name in values:
            row[name] = values[name]["name"]
    if values.get("places"):
        row |= zip(_PLACE, values["places"][0]["box"], strict=True)
    return {
        name: printable(value) if isinstance(value, str) else value for name, value in row.items()
    }
