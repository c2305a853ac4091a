"""Reports of a results folder: Markdown, CSV, LaTeX and one HTML page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ahl._common.errors import ConfigurationError, DataError
from ahl._common.files import written_whole
from ahl._common.pages import render_page
from ahl._common.schema import read_json
from ahl._common.text import printable
from ahl._common.types import ImageSize
from ahl.benchmark.comparisons import Ranking, find_sweeps, rank_variants
from ahl.benchmark.plots import draw_bars, draw_ranks, draw_sweep
from ahl.benchmark.results import Results
from ahl.benchmark.summary import Summary, rows_of, summarise_results
from ahl.benchmark.tables import (
    TITLE,
    Section,
    Table,
    csv_table,
    figures_table,
    latex,
    make_sections,
    markdown,
    sizes_table,
)
from ahl.config.image_size import in_pixels, read_size

NOTES = (
    "Figures are image-level AUROC: of each seed the mean over the classes drawn from (hard "
    "setting) and over the parts of a dataset; then the mean over the seeds, ± their standard "
    "deviation where there are at least two.",
    "In brackets stands the 95 % bootstrap interval over the test images, resampled 1,000 times, "
    "for all seeds and methods alike. It does not include the variation between draws and "
    "trainings.",
    "Overlapping intervals do not prove a tie, nor do separate ones prove a difference.",
    "The paper's figures come from its own backbone, fine-tuned at 448 pixels, and from its own "
    "draws; they stand beside ours for orientation, matched by the names of dataset and method.",
    "Test images that are identical to a training image are left out. Other photographs of "
    "training parts (copies, further exposures) are left out only in datasets named 'parts "
    "together', which have no figure of the paper beside them and no rank.",
    "FS-DRA trains on every anomaly class: a bound, not a rival. The rows of the paper's ablation "
    "(+ HADG and its like) are AHL with some of its parts: neither AHL nor rivals. They are never "
    "set in bold, never counted as beating AHL, and take no part in the ranks.",
    "Seen and unseen: AUROC against the anomalies of classes with, and without, a training "
    "example. Seconds are training and scoring of one trial with cached features, without the "
    "fine-tuning of a backbone; memory is the most that the process held, features included.",
)
"""Notes on reading the figures."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """The files of a report, and their content.

    Attributes:
        paths: report.md, results.csv, table.tex and report.html, in this order.
        summary: the figures.
        verdicts: sentences on the columns where AHL is beaten and where it is best.
    """

    paths: tuple[Path, ...]
    summary: Summary
    verdicts: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Paths, verdicts and the figures of whole datasets."""
        figures = figures_table(self.summary, self.summary.columns).astype(object)
        figures = figures.drop(columns=["subset", "known_class", "paper_deviation"])
        figures = figures.where(figures.notna(), None).rename(columns={"paper_auroc": "paper"})
        return {
            "files": [str(path) for path in self.paths],
            "trials": len(self.summary.trials),
            "verdicts": list(self.verdicts),
            "figures": figures.to_dict("records"),
        }


def write_benchmark_report(folder: Path, output: Path | None = None) -> Report:
    """Write report.md, results.csv, table.tex and report.html, each atomically.

    The same results give the same bytes.

    Args:
        folder: the results folder of a benchmark.
        output: folder to write to, created if missing; None: the results folder.

    Raises:
        DataError: if the folder holds no results.
        ConfigurationError: if pandas is not installed.

    Examples:
        >>> from pathlib import Path
        >>> from ahl import write_benchmark_report
        >>> write_benchmark_report(Path("results"))  # doctest: +SKIP
    """
    if not (folder / "results.jsonl").is_file():
        raise DataError(
            f"{folder} holds no results.jsonl. Give the folder that a benchmark wrote to."
        )
    results = Results(folder, writable=False)
    if not results.trials:
        raise DataError(f"{folder} holds no finished trial yet. Run the benchmark first.")
    summary = summarise_results(results)
    sections, sizes = make_sections(summary), sizes_table(summary)
    facts = run_facts(summary, read_configs(folder))
    ranking = rank_variants(summary)
    words = "" if ranking is None else ranking.words
    texts = {
        "report.md": markdown(sections, sizes, facts, NOTES, words),
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


def make_page(
    summary: Summary,
    sections: Sequence[Section],
    sizes: Table,
    facts: Sequence[tuple[str, str]],
    ranking: Ranking | None,
) -> str:
    """Render the report as one HTML page without scripts or external files.

    All text from the results is escaped.
    """
    from markupsafe import Markup

    # The drawings are ours, their texts escaped when they were written as XML.
    parts = [
        {
            "id": f"section-{number}",
            "section": section,
            "bars": [
                Markup(draw_bars(summary, column, f"bars-{number}-{index}"))
                for index, column in enumerate(section.columns)
            ],
            "sweeps": [
                (
                    f"{sweep.title}, {sweep.setting}",
                    Markup(draw_sweep(sweep, f"sweep-{number}-{index}")),
                )
                for index, sweep in enumerate(find_sweeps(summary, section.columns))
            ],
        }
        for number, section in enumerate(sections, start=1)
    ]
    return render_page(
        "ahl.benchmark",
        "page.html.j2",
        title=TITLE,
        parts=parts,
        ranking=ranking,
        ranks=None if ranking is None else Markup(draw_ranks(ranking, "ranks")),
        sizes=sizes,
        facts=facts,
        notes=NOTES,
        methods=len(summary.variants),
        datasets=len({column.dataset for column in summary.columns}),
        trials=len(summary.trials),
    )


def run_facts(summary: Summary, configs: dict[str, Any]) -> list[tuple[str, str]]:
    """Names and values that describe the runs: versions, machine, sizes, times.

    Args:
        summary: the results.
        configs: configs by hash, from `read_configs`.
    """
    trials = summary.trials
    seeds = sorted(set(trials["seed"]))
    sizes = {
        trial.image_size or _image_size(configs.get(trial.config)) for trial in rows_of(trials)
    }
    known = [in_pixels(size) for size in sorted(filter(None, sizes))]

    def context(name: str, describe: Callable[[object], str] = str) -> str:
        return _listed(sorted(describe(values.get(name)) for values in trials["context"]))

    days = sorted({finished[:10] for finished in trials["finished"]})
    facts = [
        ("Methods", f"{len(summary.variants)}"),
        ("Datasets", _listed(column.dataset for column in summary.columns)),
        ("Seeds", f"{len(seeds)} ({_listed(map(str, seeds))})"),
        ("Trials", f"{len(trials):,}"),
        ("Backbone", context("backbone", describe_backbone)),
        ("Features", _listed(sorted(set(trials["features"])))),
        ("Image size", _listed([*known, *["not known"] * (None in sizes)])),
        *((name.capitalize(), context(name)) for name in ("device", "threads", "machine")),
        *((f"Version of {name}", context(name)) for name in ("ahl", "torch", "numpy", "python")),
        ("Measured", days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"),
        ("Seconds in all", f"{trials['seconds'].sum():,.0f}"),
    ]
    if summary.replaced:
        facts.append(("Measured again", f"{summary.replaced} earlier results are left out"))
    return [(name, printable(value)) for name, value in facts]


def read_configs(folder: Path) -> dict[str, Any]:
    """Read the configs of a results folder, by hash; other lines are ignored."""
    found = {}
    try:
        lines = (folder / "configs.jsonl").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    for line in lines:
        try:
            values = read_json(line, dict[str, Any])
            found[str(values["hash"])] = values["config"]
        except (ValueError, KeyError):
            continue
    return found


def describe_backbone(backbone: object) -> str:
    """The backbone of a result's context in a few words."""
    if not isinstance(backbone, dict):
        return str(backbone)
    values = dict(backbone)
    words = [str(values.pop("name", None) or values.pop("kind", "unnamed"))]
    for name, value in sorted(values.items()):
        if value in (None, {}, []):
            continue
        text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        is_hash = len(text) == 64 and set(text) <= set("0123456789abcdef")
        words.append(f"{name.replace('_', ' ')} {text[:12] if is_hash else text}")
    return ", ".join(words)


def _image_size(config: object) -> ImageSize | None:
    try:
        return read_size(config["features"]["image_size"])  # type: ignore[index]
    except (ConfigurationError, KeyError, TypeError):
        return None


def _listed(values: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(values))
