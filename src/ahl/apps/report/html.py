"""The report of a model on labelled images: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ahl._common.files import written_whole
from ahl._common.history import EpochRecord
from ahl._common.pages.rendering import render_page
from ahl.apps.report.cases import Case, make_cases
from ahl.apps.report.counts import ClassRow, Counts, count
from ahl.apps.report.episode_cards import make_cards
from ahl.apps.report.facts import config_facts, environment_facts, model_facts
from ahl.apps.report.ranking import share, worst_false_alarms, worst_misses
from ahl.apps.report.score_plots import (
    draw_histograms,
    draw_precision_recall,
    draw_roc,
    draw_separations,
)
from ahl.apps.report.training_plots import draw_importance, draw_query_losses, draw_support_losses
from ahl.apps.report.trainings import split_trainings
from ahl.apps.report.words import Summary, digits, images, rate_words, summarise
from ahl.data import Dataset
from ahl.scoring.evaluation import Evaluation, evaluate
from ahl.scoring.torch_scorer import TorchScorer

WORST: Final = 6
"""Misses and false alarms shown of each, unless told otherwise."""

MOST: Final = 12
"""Most of each that may be asked for: each adds 40 to 160 kB to the page."""

_CLASSES: Final = 60
"""Most classes in the table; those found least are kept."""

_DRAWN: Final = 16
"""Most classes with a histogram, likewise."""

_SKIPPED: Final = 20
"""Most unreadable images that are named."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was written.

    Attributes:
        path: the file.
        evaluation: the figures that it shows.
        summary: its sentences.
    """

    path: Path
    evaluation: Evaluation
    summary: Summary


def write_report(
    scorer: TorchScorer,
    dataset: Dataset,
    output: Path,
    *,
    title: str | None = None,
    made: str = "",
    worst: int = WORST,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Test a model and write what came of it as one HTML page.

    The page fetches nothing: style, drawings and pictures are in it. Its size stays at a few
    megabytes however many images there are. Equal arguments give equal bytes.

    Args:
        scorer: the trained model behind its backbone (`detector.scorer`).
        dataset: what to test on, as for `ahl.scoring.evaluation.evaluate`.
        output: the file, replaced at once when it is complete; its folder is made.
        title: heading of the page; None takes the dataset's name.
        made: when and by whom, for the line below it.
        worst: misses and false alarms to show of each, at most `MOST`.
        progress: called with (done, total) images.

    Returns:
        what was written.

    Raises:
        DataError: if nothing is left to test.
        ValueError: if `worst` is not from 0 to `MOST`.
    """
    if not 0 <= worst <= MOST:
        raise ValueError(f"worst is {worst}; it must be from 0 to {MOST}.")
    result = evaluate(scorer, dataset, progress=progress)
    counts = count(result)
    misses = make_cases(scorer, worst_misses(result.scored, worst))
    alarms = make_cases(scorer, worst_false_alarms(result.scored, worst))
    summary = summarise(result, counts, scorer.model, alarms)
    page = _page(scorer, dataset, result, counts, summary, misses, alarms, title, made)
    with written_whole(output) as unfinished:
        # File names may hold halves of letters, which no text can.
        unfinished.write_text(page, encoding="utf-8", errors="replace", newline="\n")
    return Report(path=output, evaluation=result, summary=summary)


def kept_rows(counts: Counts, most: int) -> Sequence[ClassRow]:
    """The rows of the good images and of the classes that stand out least."""
    if len(counts.rows) <= most:
        return counts.rows
    good = [row for row in counts.rows if row.group.kind == "normal"]
    others = [row for row in counts.rows if row.group.kind != "normal"]
    worst = sorted(others, key=lambda row: row.separation.auroc if row.separation else 0.0)
    kept = {id(row) for row in (*good, *worst[: most - len(good)])}
    return [row for row in counts.rows if id(row) in kept]


def _page(
    scorer: TorchScorer,
    dataset: Dataset,
    result: Evaluation,
    counts: Counts,
    summary: Summary,
    misses: Sequence[Case],
    alarms: Sequence[Case],
    title: str | None,
    made: str,
) -> str:
    from markupsafe import Markup

    model = scorer.model
    rows = kept_rows(counts, _CLASSES)
    curves = [(caption, Markup(drawing)) for caption, drawing in _curves(counts)]
    training = [(Markup(caption), Markup(drawing)) for caption, drawing in _training(model.history)]
    separations = Markup(draw_separations(counts.separations)) if counts.separations else None
    return render_page(
        "ahl.apps.report",
        "report.html.j2",
        title=title or f"{dataset.name}: how well anomalies stand out",
        made=made,
        model=model,
        summary=summary,
        counts=counts,
        result=result,
        curves=curves,
        histograms=Markup(
            draw_histograms([row.group for row in kept_rows(counts, _DRAWN)], model.decision)
        ),
        undrawn=max(0, len(counts.rows) - _DRAWN),
        separations=separations,
        rows=rows,
        unlisted=len(counts.rows) - len(rows),
        misses=misses,
        alarms=alarms,
        training=training,
        base_models=any(record.query_losses for record in model.history),
        episodes=make_cards(model),
        skipped=result.skipped[:_SKIPPED],
        facts=model_facts(model),
        config=config_facts(model),
        environment=environment_facts(scorer),
        digits=digits,
        images=images,
        share=share,
        rate_words=rate_words,
    )


def _curves(counts: Counts) -> list[tuple[str, str]]:
    if not counts.both:
        return []
    roc = pr = None
    if counts.found is not None and counts.alarms is not None:
        recall = counts.found.hits / counts.found.total
        roc = (counts.alarms.hits / counts.alarms.total, recall)
        called = counts.found.hits + counts.alarms.hits
        pr = (recall, counts.found.hits / called) if called else None
    return [
        ("ROC curve", draw_roc(counts.normals, counts.seen, counts.unseen, roc)),
        ("Precision-recall curve", draw_precision_recall(counts.normals, counts.anomalies, pr)),
    ]


def _training(history: Sequence[EpochRecord]) -> list[tuple[str, str]]:
    """Importance and losses of the base models; the loss alone where there were none.

    What came after the training, each with its epochs counted from 1 again, is drawn apart.
    """
    drawn = []
    for number, training in enumerate(split_trainings(history)):
        if training[0].query_losses:
            drawn += [
                ("Importance scores w<sub>i</sub>", draw_importance(training)),
                ("Losses on the support sets", draw_support_losses(training)),
                ("Losses on the query sets", draw_query_losses(training)),
            ]
        else:
            caption = "Loss of the adaptation" if number else "Loss"
            caption += f" {number}" if number > 1 else ""
            drawn.append((caption, draw_support_losses(training, name=f"support-{number}")))
    return drawn
