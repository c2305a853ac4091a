"""Where AHL wins and where it does not, in plain sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ahl.benchmark.entrants import Entrant
from ahl.benchmark.statistics import Figure
from ahl.benchmark.summary import Column, Summary


@dataclass(frozen=True, kw_only=True)
class Defeat:
    """An AHL method that a rival beats in a column.

    Attributes:
        column: where.
        winner: the best of the rivals.
        loser: the AHL method.
        winning, losing: their figures.
    """

    column: Column
    winner: Entrant
    loser: Entrant
    winning: Figure
    losing: Figure

    @property
    def overlap(self) -> bool | None:
        """Whether the bootstrap intervals overlap; None where one is not known."""
        ends = (self.winning.low, self.losing.high)
        return None if ends[0] is None or ends[1] is None else ends[0] <= ends[1]


def find_defeats(summary: Summary, columns: Sequence[Column]) -> list[Defeat]:
    """Every AHL method beaten by a rival, by column; parts of AHL and bounds are none."""
    defeats = []
    for column in columns:
        entries = summary.of(column)
        others = [one for one in entries if one.competes and not one.is_ahl]
        if not others:
            continue
        winner = max(others, key=lambda one: entries[one].figure.mean)
        winning = entries[winner].figure
        for loser in (one for one in entries if one.is_ahl):
            losing = entries[loser].figure
            if losing.mean < winning.mean:
                defeats.append(
                    Defeat(
                        column=column, winner=winner, loser=loser, winning=winning, losing=losing
                    )
                )
    return defeats


def verdicts(summary: Summary, columns: Sequence[Column]) -> list[str]:
    """A sentence a column where AHL is beaten, then one that lists the columns where it is best.

    AHL with settings of its own is counted, and spelt out only where plain AHL was not measured.
    Without an AHL method, or without another to compare with, that is said instead.
    """
    sentences, best = [], []
    for column in columns:
        competing = [one for one in summary.of(column) if one.competes]
        if not any(one.is_ahl for one in competing):
            sentences.append(f"No AHL method was measured on {column.label}.")
        elif all(one.is_ahl for one in competing):
            sentences.append(f"No rival of AHL was measured on {column.label}.")
        elif defeats := find_defeats(summary, [column]):
            sentences.append(_sentence(summary, defeats))
        else:
            best.append(column.label)
    if best:
        sentences.append(f"No rival is better than AHL on: {'; '.join(best)}.")
    return sentences


def _sentence(summary: Summary, defeats: Sequence[Defeat]) -> str:
    """Who is beaten in one column, by whom, and which AHL method is not."""
    column, winner = defeats[0].column, defeats[0].winner
    entries = summary.of(column)
    plain = [one for one in entries if one.is_ahl and not one.settings]
    named = plain or [one for one in entries if one.is_ahl]
    beaten = {defeat.loser: defeat for defeat in defeats}
    losers = [one for one in named if one in beaten]
    standing = [one for one in named if one not in beaten]
    against = ", ".join(
        f"against {one.shown} {digits(beaten[one].losing.mean)} ({_words(beaten[one].overlap)})"
        for one in losers
    )
    but = ", ".join(f"{one.shown} {digits(entries[one].figure.mean)}" for one in standing)
    others = [one for one in entries if one.is_ahl and one not in named]
    if not losers:
        who = f"{winner.shown} {digits(defeats[0].winning.mean)}"
        text = f"AHL as it comes is not beaten on {column.label}: {but} against {who}"
    else:
        who = " and ".join(one.shown for one in losers) if standing else "AHL"
        verb = "do" if standing and len(losers) > 1 else "does"
        text = f"{who} {verb} not win on {column.label}: {winner.shown} "
        text += f"{digits(defeats[0].winning.mean)} {against}"
        if but:
            text += f"; not beaten: {but}"
    if others:
        count = sum(one in beaten for one in others)
        text += f"; {count} of {len(others)} AHL variants with other settings are beaten"
    return f"{text}."


def incomplete(summary: Summary, columns: Sequence[Column]) -> list[str]:
    """A sentence for each method that was measured on fewer cells than others in its column."""
    return [
        f"{entrant.shown} has {entry.figure.cells} of {entry.figure.cells + entry.missing} cells "
        f"on {column.label}: its figure is not of the same draws as the others'."
        for column in columns
        for entrant, entry in summary.of(column).items()
        if entry.missing
    ]


def digits(value: float | None, places: int = 3) -> str:
    """A figure for people, a dash for none; 0.9996 must not read as a perfect 1.000."""
    if value is None:
        return "-"
    limit = 1 - 10**-places
    return f"{min(value, limit) if value < 1 else value:.{places}f}"


def _words(overlap: bool | None) -> str:
    if overlap is None:
        return "an interval is missing"
    return "intervals overlap" if overlap else "intervals do not overlap"
