"""The report as Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from ahl.benchmark.facts import NOTES
from ahl.benchmark.sections import Section, Table, TableCell
from ahl.benchmark.statistics import OTHERS
from ahl.benchmark.summary import Summary

TITLE = "Open-set anomaly detection benchmark"

CSV_COLUMNS = (
    *("setting", "anomalies", "dataset", "subset", "known_class", "method", "specification"),
    *("auroc", "deviation", "low", "high", "seeds", "cells", "missing_cells"),
    *OTHERS,
    *("seconds", "peak_mebibytes", "paper_auroc", "paper_deviation"),
)
"""Head of the CSV; empty cells are not known, deviation is 0 for one seed."""


def markdown(
    sections: Sequence[Section], sizes: Table, facts: Sequence[tuple[str, str]], ranks: str = ""
) -> str:
    """The whole report but its plots.

    Args:
        sections: the tables.
        sizes: what was tested on.
        facts: what was run.
        ranks: the mean ranks in a sentence, or "".
    """
    lines = [f"# {TITLE}", ""]
    for section in sections:
        lines += [f"## {_marked(section.heading)}", ""]
        lines += [f"- {_marked(sentence)}" for sentence in section.verdicts]
        lines += ["", *_markdown_table(section.main)]
        for table in section.further:
            lines += [f"### {_marked(table.title)}", "", *_markdown_table(table)]
    if ranks:
        lines += ["## Mean ranks", "", _marked(ranks), ""]
    lines += ["## What was run", ""]
    lines += [f"- {name}: {_marked(value)}" for name, value in facts]
    lines += ["", *_markdown_table(sizes), "## How to read this", ""]
    lines += [f"- {_marked(note)}" for note in NOTES]
    return "\n".join(lines) + "\n"


def csv_table(summary: Summary) -> str:
    """A row for each method and column, whole datasets first, figures in full precision."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for column in (*summary.columns, *summary.parts):
        for entrant, entry in summary.of(column).items():
            figure = entry.figure
            paper = entry.paper or (None, None)
            writer.writerow(
                [
                    *(column.setting, column.anomalies, column.dataset, column.subset),
                    *(column.known_class, entrant.shown, entrant.spec),
                    *(_full(v) for v in (figure.mean, figure.deviation, figure.low, figure.high)),
                    *(figure.seeds, figure.cells, entry.missing),
                    *(_full(figure.others[name]) for name in OTHERS),
                    *(_full(v) for v in (figure.seconds, entry.peak_mebibytes, *paper)),
                ]
            )
    return text.getvalue()


def latex(sections: Sequence[Section]) -> str:
    r"""A booktabs table for each setting and M; needs `\usepackage{booktabs}`."""
    lines = [r"% Needs \usepackage{booktabs}."]
    for section in sections:
        table = section.main
        lines += [
            "",
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{Image-level AUROC, {_texed(section.heading)}.}}",
            rf"  \begin{{tabular}}{{l{'c' * len(table.head)}}}",
            r"    \toprule",
            rf"    {' & '.join(['Method', *map(_texed, table.head)])} \\",
            r"    \midrule",
        ]
        for name, cells in table.rows:
            lines.append(rf"    {' & '.join([_texed(name), *map(_tex_cell, cells)])} \\")
        lines += [r"    \bottomrule", r"  \end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def _markdown_table(table: Table) -> list[str]:
    lines = [
        f"| {' | '.join(map(_marked, (table.corner, *table.head)))} |",
        "|---|" + "---:|" * len(table.head),
    ]
    for name, cells in table.rows:
        texts = [f"**{c.text}**" + c.words[len(c.text) :] if c.best else c.words for c in cells]
        lines.append(f"| {' | '.join([_marked(name), *texts])} |")
    return [*lines, ""]


def _marked(text: str) -> str:
    """Text that Markdown shows as it is, also inside a table."""
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


def _tex_cell(cell: TableCell) -> str:
    text = "--" if cell.text == "-" else _texed(cell.text)
    words = [rf"\textbf{{{text}}}" if cell.best else text]
    # Braces keep a bracket after \\ or & from being read as an option.
    words += [rf"{{\scriptsize {_texed(part)}}}" for part in (cell.interval, cell.beside) if part]
    return " ".join(words)


def _full(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
