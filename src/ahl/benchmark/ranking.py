"""Mean ranks over many columns, and how far apart they must be to mean something."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ahl.benchmark.entrants import Entrant
from ahl.benchmark.statistics import mean_ranks
from ahl.benchmark.summary import Column, Summary

FEWEST_COLUMNS = 5
"""Below this a rank test says nothing."""

_MOST_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Mean ranks.

    Attributes:
        ranks: of each method, best first; 1 is best.
        columns: those that all ranked methods have.
        left_out: names of methods measured on too few of them.
        difference: mean ranks further apart than this differ at the 5 % level by Nemenyi's test;
            None where the columns are too few.
    """

    ranks: tuple[tuple[Entrant, float], ...]
    columns: tuple[Column, ...]
    left_out: tuple[str, ...]
    difference: float | None

    @property
    def words(self) -> str:
        """The ranks in sentences."""
        listed = ", ".join(f"{entrant.shown} {rank:.2f}" for entrant, rank in self.ranks)
        count = len(self.columns)
        over = f"over {count} {'column' if count == 1 else 'columns'}"
        text = f"Mean rank {over} (dataset, setting and M), 1 is best: {listed}."
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
            if more > 0:
                named += f" and {more} more"
            text += f" Not ranked, measured on fewer columns: {named}."
        return text


def rank_methods(summary: Summary) -> Ranking | None:
    """Rank the methods that compete: parts of AHL and those that see every class aside.

    All must have all columns, so that a method measured on few would leave few for everyone:
    methods are taken from the one with the most columns on, as many as keep methods times columns
    greatest.

    Returns:
        None if there are not two methods with a common column.
    """
    measured = {
        entrant: {column for column in summary.columns if (column, entrant) in summary.entries}
        for entrant in summary.entrants
        if entrant.competes
    }
    order = sorted(measured, key=lambda entrant: -len(measured[entrant]))
    best: tuple[int, int] = (0, 0)
    for count in range(2, len(order) + 1):
        common = set.intersection(*(measured[entrant] for entrant in order[:count]))
        best = max(best, (count * len(common), count if common else 0))
    chosen = order[: best[1]]
    if not chosen:
        return None
    columns = [c for c in summary.columns if all(c in measured[entrant] for entrant in chosen)]
    table = {
        column.label: {
            entrant.shown: summary.entries[column, entrant].figure.mean for entrant in chosen
        }
        for column in columns
    }
    ranks = mean_ranks(table)
    kept = [entrant for entrant in summary.entrants if entrant in chosen]
    return Ranking(
        ranks=tuple(
            sorted(((e, ranks[e.shown]) for e in kept), key=lambda pair: (pair[1], pair[0].order))
        ),
        columns=tuple(columns),
        left_out=tuple(entrant.shown for entrant in measured if entrant not in chosen),
        difference=critical_difference(len(kept), len(columns)),
    )


def critical_difference(methods: int, columns: int) -> float | None:
    """Nemenyi's critical difference of mean ranks at the 5 % level.

    Args:
        methods: k, at least 2.
        columns: N; None is returned for fewer than `FEWEST_COLUMNS`.
    """
    if columns < FEWEST_COLUMNS:
        return None
    from scipy.stats import studentized_range

    quantile = float(studentized_range.ppf(0.95, methods, math.inf)) / math.sqrt(2)
    return quantile * math.sqrt(methods * (methods + 1) / (6 * columns))
