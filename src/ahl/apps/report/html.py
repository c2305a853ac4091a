"""The report of a model on labelled images: one HTML file that needs nothing else."""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import torch

from ahl._common.callbacks import Callback
from ahl._common.files import written_whole
from ahl._common.pages import render_page
from ahl._common.text import counted, digits
from ahl._common.version import __version__
from ahl.apps.report.cases import make_cases
from ahl.apps.report.counts import (
    Counts,
    best_hits,
    count,
    kept_rows,
    operating_points,
    share,
    worst_false_alarms,
    worst_misses,
)
from ahl.apps.report.episodes import make_cards
from ahl.apps.report.score_plots import (
    draw_histograms,
    draw_precision_recall,
    draw_roc,
    draw_separations,
)
from ahl.apps.report.training_plots import draw_trainings
from ahl.apps.report.words import Summary, summarise
from ahl.config.image_size import in_pixels
from ahl.data import Dataset
from ahl.model.trained import TrainedModel
from ahl.scoring.evaluation import Evaluation, evaluate
from ahl.scoring.torch_scorer import TorchScorer

_WORST: Final = 6
"""Most misses, and most false alarms, that are shown: each adds 40 to 160 kB to the page."""

_HITS: Final = 3
"""Most hits that are shown: the anomalies with the highest scores."""

_CLASSES: Final = 60
"""Most classes in the table; those found least are kept."""

_DRAWN: Final = 16
"""Most classes with a histogram; those found least are kept."""

_SKIPPED: Final = 20
"""Most unreadable images that are named."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """A written report: its file, the figures that it shows, and its sentences."""

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
    progress: Callable[[int, int], None] | None = None,
    group_by: str | None = None,
    cache: str | Path | None = None,
    callback: Callback | None = None,
) -> Report:
    """Test a model and write the result as one HTML page.

    The page fetches nothing: style, drawings and pictures are in it. Its size stays at a few
    megabytes however many images there are. Equal arguments give equal bytes.

    Args:
        scorer: the trained model with its backbone (`detector.scorer`).
        dataset: what to test on, as for `ahl.scoring.evaluation.evaluate`.
        output: the file, replaced only when the page is complete; its folder is made.
        title: heading of the page; None takes the dataset's name.
        made: when and by whom, for the line below it.
        progress: called with (done, total) images.
        group_by: as for `ahl.evaluate`.
        cache: as for `ahl.evaluate`.
        callback: as for `ahl.evaluate`.

    Raises:
        DataError: if nothing is left to test.
    """
    result = evaluate(
        scorer, dataset, progress=progress, group_by=group_by, cache=cache, callback=callback
    )
    counts, model = count(result), scorer.model
    alarms = make_cases(scorer, worst_false_alarms(result.scored, _WORST))
    summary = summarise(result, counts, model, alarms)
    page = render_page(
        "ahl.apps.report",
        "report.html.j2",
        title=title or f"{dataset.name}: how well anomalies stand out",
        made=made,
        model=model,
        summary=summary,
        counts=counts,
        result=result,
        rows=kept_rows(counts, _CLASSES),
        undrawn=max(0, len(counts.rows) - _DRAWN),
        curves=_curves(counts),
        histograms=draw_histograms(kept_rows(counts, _DRAWN), model.decision),
        points=operating_points(counts),
        misses=make_cases(scorer, worst_misses(result.scored, _WORST)),
        hits=make_cases(scorer, best_hits(result.scored, _HITS)),
        alarms=alarms,
        training=draw_trainings(model.history),
        episodes=make_cards(model),
        skipped=result.skipped[:_SKIPPED],
        backbone=_backbone(model),
        image_size=in_pixels(model.config.features.size, model.config.features.tiles),
        trained=sorted(Counter(file.class_name for file in model.manifest.files).items()),
        environment=_environment(scorer),
        digits=digits,
        counted=counted,
        share=share,
        shown=_shown,
    )
    with written_whole(output) as unfinished:
        # File names may hold halves of letters, which no text can.
        unfinished.write_text(page, encoding="utf-8", errors="replace", newline="\n")
    return Report(path=output, evaluation=result, summary=summary)


def _curves(counts: Counts) -> list[tuple[str, str]]:
    """Caption and drawing of the curves and of the AUROCs; none without images of both kinds."""
    if not counts.both:
        return []
    roc = pr = None
    if counts.found is not None and counts.alarms is not None:
        recall = counts.found.hits / counts.found.total
        roc = (counts.alarms.hits / counts.alarms.total, recall)
        called = counts.found.hits + counts.alarms.hits
        pr = (recall, counts.found.hits / called) if called else None
    several = len(counts.separations) > 1
    return [
        ("ROC curve", draw_roc(counts.normals, counts.seen, counts.unseen, roc)),
        ("Precision-recall curve", draw_precision_recall(counts.normals, counts.anomalies, pr)),
        ("Seen against unseen" if several else "AUROC", draw_separations(counts.separations)),
    ]


def _backbone(model: TrainedModel) -> str:
    if model.backbone is None:
        return "none: trained on feature maps"
    described = model.backbone.describe()
    settings = dict(described.settings)
    name = settings.pop("name", described.kind)
    rest = [f", {key} {_shown(value)}" for key, value in settings.items() if value]
    return f"{name}, weights {described.weights_sha256[:12]}{''.join(rest)}"


def _environment(scorer: TorchScorer) -> dict[str, str]:
    """Versions, system and device that computed the report, by name."""
    return {
        "ahl": __version__,
        **{name: version(name) for name in ("torch", "timm", "numpy", "pillow")},
        "python": platform.python_version(),
        "System": f"{platform.system()} {platform.machine()}",
        "Processor": processor(),
        "Threads": str(torch.get_num_threads()),
        "Device": str(scorer.extractor.device),
    }


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name, as far as the system knows it."""
    try:
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:  # not Linux
        pass
    return platform.processor() or "unknown"


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
