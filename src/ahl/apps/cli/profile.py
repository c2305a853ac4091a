"""Where the time of a run went, for `--profile`."""

from __future__ import annotations

from typing import Any

from rich.table import Table

Times = dict[tuple[str, ...], float]
"""Seconds of each part, those of parts within it not counted; the outermost name comes first."""

OTHER = "everything else"


def profile_rows(times: Times, total: float) -> list[tuple[tuple[str, ...], float]]:
    """Parts with the seconds of all within them, each behind the part it belongs to.

    Args:
        times: as an callback was told.
        total: of the whole run; what no part has is told as the last row but the total's.
    """
    first: dict[tuple[str, ...], int] = {}
    for path in times:
        for depth in range(1, len(path) + 1):
            first.setdefault(path[:depth], len(first))
    # Inner parts are told before the outer one, and a branch is told piece by piece.
    paths = sorted(first, key=lambda path: [first[path[: i + 1]] for i in range(len(path))])
    rows = [
        (path, sum(s for inner, s in times.items() if inner[: len(path)] == path)) for path in paths
    ]
    return [*rows, ((OTHER,), max(0.0, total - sum(times.values()))), (("total",), total)]


def profile_values(times: Times, total: float) -> dict[str, Any]:
    """The rows as JSON values: seconds by the parts' names."""
    return {" > ".join(path): round(seconds, 3) for path, seconds in profile_rows(times, total)}


def profile_table(times: Times, total: float) -> Table:
    """The rows for people."""
    table = Table("where the time went", "s", "%", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for path, seconds in profile_rows(times, total):
        share = 100 * seconds / total if total else 0.0
        table.add_row("  " * (len(path) - 1) + path[-1], f"{seconds:.1f}", f"{share:.0f}")
    return table
