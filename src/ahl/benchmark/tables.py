"""The tables of the report, and their form in Markdown, CSV and LaTeX."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib import resources
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from ahl._common.text import digits
from ahl.benchmark.comparisons import incomplete, verdicts
from ahl.benchmark.summary import OTHERS, Column, Summary, rows_of

if TYPE_CHECKING:
    import pandas as pd

TITLE = "Open-set anomaly detection benchmark"

CSV_COLUMNS = (
    *("setting", "anomalies", "dataset", "subset", "known_class", "method", "specification"),
    *("auroc", "deviation", "low", "high", "seeds", "trials", "missing_trials"),
    *OTHERS,
    *("seconds", "peak_mebibytes", "paper_auroc", "paper_deviation"),
)
"""Columns of the CSV; unknown fields are empty, deviation is 0 for one seed."""

_SIZES = ("normals", "tested_normals", "tested_anomalies", "duplicates", "skipped")


class TableCell(NamedTuple):
    """A cell of a table: its figure, interval and the paper's figure ("" for none)."""

    text: str
    interval: str = ""
    beside: str = ""
    best: bool = False


class Table(NamedTuple):
    """A table: title, heading of the row names, column names, name and cells of each row."""

    title: str
    corner: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, tuple[TableCell, ...]], ...]


class Section(NamedTuple):
    """A section of the report: one setting with one M.

    Attributes:
        heading: setting and M.
        columns: its datasets.
        verdicts: sentences on the columns where AHL is beaten and where it is best, and on variants
            with missing trials.
        main: the table of AUROC.
        further: tables of the other figures, and of subsets and classes.
    """

    heading: str
    columns: tuple[Column, ...]
    verdicts: tuple[str, ...]
    main: Table
    further: tuple[Table, ...]


def make_sections(summary: Summary) -> tuple[Section, ...]:
    """Make all sections, in the order of the summary."""
    return tuple(
        _section(summary, tuple(columns))
        for _, columns in groupby(summary.columns, lambda column: column[:2])
    )


def sizes_table(summary: Summary) -> Table:
    """Table of the sizes of every column's tests: numbers, or ranges over its trials."""
    rows = []
    by_column = summary.trials.groupby(["setting", "anomalies", "dataset"])
    for column in summary.columns:
        trials = by_column.get_group(column[:3])
        draws = len(trials.drop_duplicates(["subset", "known_class", "seed"]))
        ranges = [_range(trials[name]) for name in _SIZES]
        rows.append((column.label, tuple(TableCell(text) for text in (str(draws), *ranges))))
    head = "draws,training normals,tested normals,tested anomalies,duplicates left out"
    return Table(
        title="Sizes of the tests",
        corner="dataset, setting, M",
        head=(*head.split(","), "unreadable images"),
        rows=tuple(rows),
    )


def _range(values: pd.Series[int]) -> str:
    low, high = values.min(), values.max()
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _section(summary: Summary, columns: tuple[Column, ...]) -> Section:
    setting, anomalies = columns[0][:2]
    further = [
        _table(summary, columns, title, write, by)
        for title, write, by in (
            (
                "AUROC on seen / unseen classes",
                lambda row: f"{digits(row.auroc_seen)} / {digits(row.auroc_unseen)}",
                "",
            ),
            (
                "Average precision",
                lambda row: digits(row.average_precision),
                "average_precision",
            ),
            ("False-positive rate at 95 % detection", lambda row: digits(row.fpr95), "fpr95"),
            ("Seconds a trial", lambda row: f"{row.seconds:.1f}", ""),
            ("Peak memory, MiB", lambda row: f"{row.peak_mebibytes:,.0f}", ""),
        )
    ]
    for column in columns:
        for title, classes in (("parts", False), ("known classes", True)):
            parts = [
                part
                for part in summary.parts
                if part[:3] == column[:3] and bool(part.known_class) is classes
            ]
            if parts:
                table = _table(summary, parts, f"AUROC by {title} of {column.dataset}")
                further.append(_by_part(table, parts))
    return Section(
        heading=f"{setting[:1].upper()}{setting[1:]} setting, M = {anomalies}",
        columns=columns,
        verdicts=(*verdicts(summary, columns), *incomplete(summary, columns)),
        main=_table(summary, columns, "AUROC"),
        further=tuple(further),
    )


def _table(
    summary: Summary,
    columns: Sequence[Column],
    title: str,
    write: Callable[[Any], str] | None = None,
    by: str = "auroc",
) -> Table:
    """Make a table with variants as rows and datasets as columns.

    Args:
        summary: the figures.
        columns: the columns, at least one.
        title: title of the table.
        write: formats a cell; None writes AUROC with its interval and the paper's figure.
        by: figure whose best value among competing variants is bold; "" for none.
    """
    cells = {}
    for column in columns:
        table = summary.tables[column]
        competing = [name for name in table.index if summary.variants[name].competes]
        figures = table.loc[competing, by] if by else table["auroc"].iloc[:0]
        best = set(figures.index[figures == (figures.min() if by == "fpr95" else figures.max())])
        for row in rows_of(table):
            cell = TableCell(write(row)) if write else _auroc_cell(row)
            cells[row.Index, column] = cell._replace(best=row.Index in best)
    there = [name for name in summary.variants if any((name, c) in cells for c in columns)]
    missing = TableCell("-")
    return Table(
        title=title,
        corner="method",
        head=tuple(column.dataset for column in columns),
        rows=tuple((name, tuple(cells.get((name, c), missing) for c in columns)) for name in there),
    )


def _auroc_cell(row: Any) -> TableCell:  # noqa: ANN401 - a row of a summary's table
    spread = f" ± {row.deviation:.3f}" if row.seeds > 1 else ""
    low, high = digits(row.low, 2), digits(row.high, 2)
    paper = digits(row.paper_auroc)
    return TableCell(
        text=f"{digits(row.auroc)}{spread}",
        interval="" if "-" in (low, high) else f"[{low}, {high}]",
        beside="" if paper == "-" else f"paper {paper}",
    )


def _by_part(table: Table, parts: Sequence[Column]) -> Table:
    """Transpose a table to subsets or classes as rows, as there may be many."""
    names = ["/".join(filter(None, part[3:])) for part in parts]
    columns = zip(*(cells for _, cells in table.rows), strict=True)
    return table._replace(
        corner="part",
        head=tuple(name for name, _ in table.rows),
        rows=tuple(zip(names, columns, strict=True)),
    )


def markdown(
    sections: Sequence[Section],
    sizes: Table,
    facts: Sequence[tuple[str, str]],
    notes: Sequence[str],
    ranks: str = "",
) -> str:
    """Render the report in Markdown, without plots.

    Args:
        sections: the tables.
        sizes: sizes of the tests.
        facts: names and values that describe the runs.
        notes: notes on reading the figures.
        ranks: the mean ranks in sentences, or "".
    """
    return _render(
        "report.md.j2",
        _marked,
        title=TITLE,
        sections=sections,
        sizes=sizes,
        facts=facts,
        notes=notes,
        ranks=ranks,
    )


def latex(sections: Sequence[Section]) -> str:
    r"""Render a booktabs table for each setting and M; needs `\usepackage{booktabs}`."""
    return _render("table.tex.j2", _texed, sections=sections)


def _render(template: str, escape: Callable[[str], str], **values: object) -> str:
    """Fill a template; every value in `<< >>` is escaped."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    source = resources.files("ahl.benchmark").joinpath(template).read_text(encoding="utf-8")
    environment = Environment(
        variable_start_string="<<",
        variable_end_string=">>",
        autoescape=True,
        finalize=lambda text: text if isinstance(text, Markup) else Markup(escape(text)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.from_string(source).render(**values)


def figures_table(summary: Summary, columns: Sequence[Column]) -> pd.DataFrame:
    """Data frame with a row for each column and variant, and the CSV's fields."""
    import pandas as pd

    tables = []
    for column in columns:
        table = summary.tables[column]
        texts = [summary.variants[name].text for name in table.index]
        tables.append(table.assign(**column._asdict(), method=table.index, specification=texts))
    return pd.concat(tables, ignore_index=True)[list(CSV_COLUMNS)]


def csv_table(summary: Summary) -> str:
    """All figures as CSV, whole datasets first."""
    table = figures_table(summary, [*summary.columns, *summary.parts])
    return table.to_csv(index=False, float_format="%.6g", lineterminator="\n")


def _marked(text: str) -> str:
    """The text, escaped so that Markdown shows it unchanged, also in a table."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#~$!])", r"\\\1", text)


_TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


def _texed(text: str) -> str:
    return "".join(_TEX.get(letter, letter) for letter in text)
