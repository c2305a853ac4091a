"""A results folder becomes a report: Markdown, CSV, LaTeX and one HTML page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ahl._common.errors import DataError
from ahl._common.files import written_whole
from ahl.benchmark.facts import read_configs, run_facts
from ahl.benchmark.page import make_page
from ahl.benchmark.ranking import rank_methods
from ahl.benchmark.results import Results
from ahl.benchmark.sections import make_sections, sizes_table
from ahl.benchmark.summary import Summary, summarise_results
from ahl.benchmark.tables import csv_table, latex, markdown


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was written.

    Attributes:
        paths: report.md, results.csv, table.tex and report.html, in this order.
        summary: what stands in them.
        verdicts: where AHL does not win, in sentences, over all settings.
    """

    paths: tuple[Path, ...]
    summary: Summary
    verdicts: tuple[str, ...]


def write_report(folder: Path, output: Path | None = None) -> Report:
    """Write report.md, results.csv, table.tex and report.html, each whole or not at all.

    The same results give the same bytes.

    Args:
        folder: the results folder of a benchmark.
        output: folder to write to, made when missing; the results folder itself if None.

    Raises:
        DataError: if the folder holds no results.
    """
    if not (folder / "results.jsonl").is_file():
        raise DataError(
            f"{folder} holds no results.jsonl. Give the folder that a benchmark wrote to."
        )
    summary = summarise_results(Results(folder, writable=False))
    if not summary.records:
        raise DataError(f"{folder} holds no finished cell yet. Run the benchmark first.")
    sections, sizes = make_sections(summary), sizes_table(summary)
    facts = run_facts(summary, read_configs(folder))
    ranking = rank_methods(summary)
    texts = {
        "report.md": markdown(sections, sizes, facts, "" if ranking is None else ranking.words),
        "results.csv": csv_table(summary),
        "table.tex": latex(sections),
        "report.html": make_page(summary, sections, sizes, facts, ranking),
    }
    paths = []
    for name, text in texts.items():
        path = (output or folder) / name
        with written_whole(path) as unfinished:
            unfinished.write_text(text, encoding="utf-8", newline="\n")
        paths.append(path)
    verdicts = tuple(sentence for section in sections for sentence in section.verdicts)
    return Report(paths=tuple(paths), summary=summary, verdicts=verdicts)
