"""Sweeps: methods that differ in the value of one setting only."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from ahl.benchmark.entrants import Entrant, value_of
from ahl.benchmark.summary import Column, Entry, Summary

FEWEST_VALUES = 3


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """One setting with several values, in one setting of the protocol with one M.

    Attributes:
        title: the method with its other settings.
        setting: dotted name of the setting that varies.
        values: as written, in order.
        numeric: whether all values are numbers.
        lines: for each dataset the entries by value.
    """

    title: str
    setting: str
    values: tuple[str, ...]
    numeric: bool
    lines: tuple[tuple[Column, dict[str, Entry]], ...]


def find_sweeps(summary: Summary, columns: tuple[Column, ...]) -> list[Sweep]:
    """Every sweep over at least three values, among these columns."""
    groups: dict[tuple[str, str], dict[str, Entrant]] = defaultdict(dict)
    for entrant in summary.entrants:
        for name, value in entrant.settings:
            groups[entrant.shown_without(name), name][value] = entrant
    sweeps = []
    for (title, name), members in groups.items():
        lines = []
        for column in columns:
            entries = {
                value: summary.entries[column, entrant]
                for value, entrant in members.items()
                if (column, entrant) in summary.entries
            }
            if len(entries) >= FEWEST_VALUES:
                lines.append((column, entries))
        if lines:
            used = [value for value in members if any(value in entries for _, entries in lines)]
            numeric = all(value_of(value) is not None for value in used)
            sweeps.append(
                Sweep(
                    title=title,
                    setting=name,
                    values=tuple(used),
                    numeric=numeric,
                    lines=tuple(lines),
                )
            )
    return sweeps
