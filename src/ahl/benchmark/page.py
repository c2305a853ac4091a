"""The report as one HTML page that needs nothing else: no network, no script."""

from __future__ import annotations

from collections.abc import Sequence

from ahl._common.pages.rendering import render_page
from ahl.benchmark.facts import NOTES
from ahl.benchmark.plots import draw_bars, draw_ranks, draw_sweep
from ahl.benchmark.ranking import Ranking
from ahl.benchmark.sections import Section, Table
from ahl.benchmark.summary import Summary
from ahl.benchmark.sweeps import find_sweeps
from ahl.benchmark.tables import TITLE


def make_page(
    summary: Summary,
    sections: Sequence[Section],
    sizes: Table,
    facts: Sequence[tuple[str, str]],
    ranking: Ranking | None,
) -> str:
    """The page as HTML; everything that comes from the results is escaped.

    Args:
        summary: the results, for the plots.
        sections: the tables.
        sizes: what was tested on.
        facts: what was run.
        ranking: the mean ranks, if there are any.
    """
    from markupsafe import Markup

    parts = []
    for number, section in enumerate(sections, start=1):
        bars = [
            draw_bars(column, summary.of(column), f"bars-{number}-{index}")
            for index, column in enumerate(section.columns)
        ]
        sweeps = [
            (f"{sweep.title}, {sweep.setting}", draw_sweep(sweep, f"sweep-{number}-{index}"))
            for index, sweep in enumerate(find_sweeps(summary, section.columns))
        ]
        # The drawings are ours, their texts escaped when they were written as XML.
        parts.append(
            {
                "id": f"section-{number}",
                "section": section,
                "bars": [Markup(bar) for bar in bars],
                "sweeps": [(caption, Markup(sweep)) for caption, sweep in sweeps],
            }
        )
    ranks = None if ranking is None else Markup(draw_ranks(ranking, "ranks"))
    return render_page(
        "ahl.benchmark",
        "page.html.j2",
        title=TITLE,
        parts=parts,
        ranking=ranking,
        ranks=ranks,
        sizes=sizes,
        facts=facts,
        notes=NOTES,
        methods=len(summary.entrants),
        datasets=len({column.dataset for column in summary.columns}),
        cells=len(summary.records),
    )
