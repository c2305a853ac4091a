"""Comparisons of the figures: wins and defeats of AHL, mean ranks, and sweeps."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ahl._common.text import counted, digits
from ahl.benchmark.protocol import TOGETHER
from ahl.benchmark.summary import Column, Summary, rows_of
from ahl.benchmark.variants import Variant, number_of

if TYPE_CHECKING:
    import pandas as pd

FEWEST_COLUMNS = 5
"""Fewest columns for a rank test."""

FEWEST_VALUES = 3
"""Fewest values of a sweep."""

_MOST_NAMED = 3


def find_defeats(summary: Summary, column: Column) -> dict[str, bool | None]:
    """Find the AHL variants that the best rival beats in a column; parts and bounds do not compete.

    Returns:
        by name: True if the bootstrap intervals overlap, None if one of them is not known.
    """
    ours, rivals = _sides(summary, column)
    table = summary.tables[column]
    if not rivals:
        return {}
    best, defeats = table.loc[str(table.loc[rivals, "auroc"].idxmax())], {}
    for name, own in table.loc[ours].iterrows():
        if own["auroc"] < best["auroc"]:
            known = not np.isnan([best["low"], own["high"]]).any()
            defeats[str(name)] = bool(best["low"] <= own["high"]) if known else None
    return defeats


def verdicts(summary: Summary, columns: Sequence[Column]) -> list[str]:
    """One sentence per column where AHL is beaten, then one on the columns where it is best.

    AHL variants with settings are counted, and named only where plain AHL was not measured. A
    column without an AHL variant or without a rival gets a sentence that says so.
    """
    sentences, best = [], []
    for column in columns:
        ours, rivals = _sides(summary, column)
        if not ours:
            sentences.append(f"No AHL method was measured on {column.label}.")
        elif not rivals:
            sentences.append(f"No rival of AHL was measured on {column.label}.")
        elif find_defeats(summary, column):
            sentences.append(_sentence(summary, column))
        else:
            best.append(column.label)
    if best:
        sentences.append(f"No rival is better than AHL on: {'; '.join(best)}.")
    return sentences


def _sides(summary: Summary, column: Column) -> tuple[list[str], list[str]]:
    """Names of the AHL variants and of their rivals in a column."""
    competing = [n for n in summary.tables[column].index if summary.variants[n].competes]
    ours = [name for name in competing if summary.variants[name].is_ahl]
    return ours, [name for name in competing if name not in ours]


def _sentence(summary: Summary, column: Column) -> str:
    """The sentence of one column: the beaten AHL variants, the rival, and the unbeaten ones."""
    ours, rivals = _sides(summary, column)
    beaten = find_defeats(summary, column)
    figures = summary.tables[column]["auroc"]
    winner, auroc = str(figures[rivals].idxmax()), figures.map(digits)
    plain = [name for name in ours if not summary.variants[name].written]
    named = plain or ours
    losers = [name for name in named if name in beaten]
    standing = [name for name in named if name not in beaten]
    overlaps = {
        None: "an interval is missing",
        True: "intervals overlap",
        False: "intervals do not overlap",
    }
    against = ", ".join(
        f"against {name} {auroc[name]} ({overlaps[beaten[name]]})" for name in losers
    )
    but = ", ".join(f"{name} {auroc[name]}" for name in standing)
    others = [name for name in ours if name not in named]
    if not losers:
        text = f"AHL as it comes is not beaten on {column.label}: {but} against {winner} "
        text += auroc[winner]
    else:
        who = " and ".join(losers) if standing else "AHL"
        verb = "do" if standing and len(losers) > 1 else "does"
        text = f"{who} {verb} not win on {column.label}: {winner} {auroc[winner]} {against}"
        if but:
            text += f"; not beaten: {but}"
    if others:
        count = sum(name in beaten for name in others)
        text += f"; {count} of {len(others)} AHL variants with other settings are beaten"
    return f"{text}."


def incomplete(summary: Summary, columns: Sequence[Column]) -> list[str]:
    """A sentence for each variant that was measured in fewer trials than others in its column."""
    return [
        f"{row.Index} has {row.trials} of {row.trials + row.missing_trials} trials on "
        f"{column.label}: its figure is not from the same draws as the others'."
        for column in columns
        for row in rows_of(summary.tables[column])
        if row.missing_trials
    ]


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Mean ranks of the variants.

    Attributes:
        ranks: variants and their mean ranks, best first; 1 is best.
        columns: number of columns that all of them were measured on.
        left_out: names of variants measured on too few columns.
        difference: mean ranks further apart than this differ at the 5 % level by Nemenyi's test;
            None for too few columns.
    """

    ranks: tuple[tuple[Variant, float], ...]
    columns: int
    left_out: tuple[str, ...]
    difference: float | None

    @property
    def words(self) -> str:
        """The ranks in sentences."""
        listed = ", ".join(f"{variant.shown} {rank:.2f}" for variant, rank in self.ranks)
        columns = counted(self.columns, "column")
        text = f"Mean rank over {columns} (dataset, setting and M), 1 is best: {listed}."
        if self.difference is None:
            text += f" Fewer than {FEWEST_COLUMNS} columns are too few for a test."
        else:
            text += (
                f" Ranks closer than {self.difference:.2f} do not differ at the 5 % level "
                "(Nemenyi); columns of one dataset are related, so that the test is optimistic."
            )
        if self.left_out:
            named = ", ".join(self.left_out[:_MOST_NAMED])
            more = len(self.left_out) - _MOST_NAMED
            text += f" Not ranked, measured on fewer columns: {named}"
            text += f" and {more} more." if more > 0 else "."
        return text


def rank_variants(summary: Summary) -> Ranking | None:
    """Rank the competing variants: neither parts of AHL nor those that see every class.

    A rank needs columns that all variants have. Variants are therefore taken in the order of their
    number of columns, as many as make variants times common columns largest.

    Returns:
        the ranking; None if no two variants have a column in common.
    """
    import pandas as pd

    competing = [name for name, variant in summary.variants.items() if variant.competes]
    figures = {
        column.label: summary.tables[column]["auroc"]
        for column in summary.columns
        if not column.dataset.endswith(TOGETHER)  # measured as published already
    }
    table = pd.DataFrame(figures, index=competing)
    order = table.count(axis=1).sort_values(ascending=False, kind="stable").index
    best = (0, 0)
    for count in range(2, len(order) + 1):
        shared = len(table.loc[order[:count]].dropna(axis=1).columns)
        best = max(best, (count * shared, count if shared else 0))
    if not best[1]:
        return None
    chosen = set(order[: best[1]])
    ranked = table.loc[[name for name in competing if name in chosen]]
    common = len(ranked.dropna(axis=1).columns)
    ranks = mean_ranks(ranked).sort_values(kind="stable")
    return Ranking(
        ranks=tuple((summary.variants[str(name)], float(rank)) for name, rank in ranks.items()),
        columns=common,
        left_out=tuple(name for name in competing if name not in chosen),
        difference=critical_difference(len(chosen), common),
    )


def mean_ranks(table: pd.DataFrame) -> pd.Series[float]:
    """Mean rank of each row over the columns without NaN; 1 is best, ties get their mean rank."""
    return table.dropna(axis=1).rank(ascending=False).mean(axis=1).dropna()


def critical_difference(variants: int, columns: int) -> float | None:
    """Nemenyi's critical difference of mean ranks at the 5 % level.

    Args:
        variants: number k of variants, at least 2.
        columns: number N of columns.

    Returns:
        the difference; None for fewer than `FEWEST_COLUMNS` columns.
    """
    if columns < FEWEST_COLUMNS:
        return None
    from scipy.stats import studentized_range

    quantile = float(studentized_range.ppf(0.95, variants, math.inf)) / math.sqrt(2)
    return quantile * math.sqrt(variants * (variants + 1) / (6 * columns))


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A config field with several values, in one setting of the protocol with one M.

    Attributes:
        title: the method with its other settings.
        setting: dotted name of the config field.
        values: its values as written, in order.
        numeric: True if all values are numbers.
        lines: each dataset's figures, one row per value.
    """

    title: str
    setting: str
    values: tuple[str, ...]
    numeric: bool
    lines: tuple[tuple[Column, pd.DataFrame], ...]


def find_sweeps(summary: Summary, columns: Sequence[Column]) -> list[Sweep]:
    """Find every sweep over at least `FEWEST_VALUES` values in some of these columns."""
    groups: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for shown, variant in summary.variants.items():
        for name, value in variant.written:
            groups[variant.shown_without(name), name][shown] = value
    sweeps = []
    for (title, name), members in groups.items():
        lines = []
        for column in columns:
            table = summary.tables[column]
            rows = table.loc[[shown for shown in members if shown in table.index]]
            if len(rows) >= FEWEST_VALUES:
                lines.append((column, rows.rename(index=members)))
        if lines:
            used = [v for v in members.values() if any(v in rows.index for _, rows in lines)]
            sweeps.append(
                Sweep(
                    title=title,
                    setting=name,
                    values=tuple(used),
                    numeric=all(number_of(value) is not None for value in used),
                    lines=tuple(lines),
                )
            )
    return sweeps
