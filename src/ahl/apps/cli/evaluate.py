"""`ahl evaluate`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ahl._common.text import counted, digits, printable
from ahl.apps.cli.common import (
    make_table,
    print_json,
    skipped_values,
    stderr_console,
    stdout_console,
    tell,
)
from ahl.apps.cli.groups import Caching, Computing, group_by_names, json_flag, trained_model
from ahl.apps.cli.labelled import Labels, labelled_data
from ahl.apps.cli.options import options, takes

if TYPE_CHECKING:
    from rich.console import Console

    from ahl.scoring.evaluation import Evaluation
    from ahl.scoring.localisation import PixelFigures

_SHOWN: Final = 10
"""Most conflicts of labels that are named."""

_FIGURES = {
    "auroc": "AUROC",
    "auroc_seen": "AUROC seen",
    "auroc_unseen": "AUROC unseen",
    "average_precision": "average precision",
    "fpr95": "FPR at 95 % TPR",
}


@options
class EvaluateOptions:
    """The options of `ahl evaluate`."""

    labels: Labels
    group_by: str | None = group_by_names("as the model was trained")
    computing: Computing
    caching: Caching
    as_json: bool = json_flag()


@click.command()
@trained_model
@labelled_data
@takes(EvaluateOptions)
def evaluate(model: Path, data: Path | None, options: EvaluateOptions) -> None:
    """Measure a trained MODEL on the labelled images in DATA.

    DATA is laid out as for `ahl train`; or give --good and --defect, or --table. Images that the
    model was trained on are recognised by their content and left out. Other photographs of the same
    parts are counted, and the figures without them are shown as well.

    Figures are image-level: AUROC over all anomalies, over those of classes with a training example
    (seen) and over the others (unseen), average precision, and the false-positive rate where 95 %
    of the anomalies are found. Where `ahl threshold` has set a threshold, the images above it are
    counted, class by class.

    Where there are masks, the heat maps are measured, too: the AUROC over all pixels, AUPRO (mean
    share of a defect that is found, up to 30 % false-positive pixels), and how often the peak lies
    on the defect.
    """
    from ahl.apps.cli.progress import ConsoleCallback
    from ahl.estimator import AHL
    from ahl.pipeline.settings import RunSettings
    from ahl.scoring.evaluation import evaluate as measure

    cache = options.caching.place
    options.computing.begin()
    dataset = options.labels.dataset(data, ["test"])
    detector = AHL.load(model, run=RunSettings(device=options.computing.device))
    with ConsoleCallback(stderr_console(quiet=options.as_json)) as callback:
        result = measure(
            detector.scorer,
            dataset,
            progress=callback.progress_of("scoring"),
            group_by=options.group_by,
            cache=cache,
            callback=callback,
        )
        for skipped in result.skipped:
            callback.on_skipped(skipped)
    if options.as_json:
        print_json(as_values(result))
    else:
        show(result)


def as_values(result: Evaluation) -> dict[str, Any]:
    """The evaluation as JSON values."""
    others = (
        *("threshold", "left_out", "left_out_known_class", "threshold_images"),
        "trained_parts",
    )
    of_new_parts, pixels = result.of_new_parts, result.pixels
    return {
        **{name: getattr(result, name) for name in (*_FIGURES, *others)},
        "of_new_parts": None if of_new_parts is None else asdict(of_new_parts),
        "pixels": None if pixels is None else asdict(pixels),
        "conflicts": [asdict(one) for one in result.conflicts],
        "classes": {name: asdict(one) for name, one in result.classes.items()},
        "skipped": skipped_values(result.skipped),
    }


def show(result: Evaluation) -> None:
    """Print the evaluation as tables."""
    from ahl._common.types import GOOD

    console = stdout_console()
    figures = [digits(getattr(result, name)) for name in _FIGURES]
    titles = [f">{title}" for title in _FIGURES.values()]
    console.print(make_table(titles, [figures], "Image-level figures"))
    if result.of_new_parts is not None:
        figures = [digits(getattr(result.of_new_parts, name)) for name in _FIGURES]
        console.print(make_table(titles, [figures], "Without parts that were trained on"))
    if result.pixels is not None:
        _show_pixels(result.pixels, console)
    columns = ["class", ">images", "in training", ">AUROC"]
    if result.threshold is not None:
        columns.append(f">above {result.threshold:.4f}")
    rows = []
    for name, one in result.classes.items():
        known = "normal" if name == GOOD else "seen" if one.seen else "unseen"
        above = [] if one.called_anomalous is None else [str(one.called_anomalous)]
        rows.append([name, str(one.count), known, digits(one.auroc), *above])
    console.print(make_table(columns, rows, "By class"))
    if result.auroc is None:
        lacking = "good images" if GOOD not in result.classes else "anomalies"
        tell(f"No {lacking} are left to test: figures need good images and anomalies.")
    if result.trained_parts:
        tell(
            f"{counted(result.trained_parts, 'tested image', 'are')} of parts that the model was "
            "trained on, by copies, names or groups: rely on the figures without them."
        )
    if result.threshold_images:
        tell(
            f"{counted(result.threshold_images, 'good image', 'are')} among those that the "
            "threshold was set on: their share above it was chosen, not measured."
        )
    for conflict in result.conflicts[:_SHOWN]:
        tell(f"{printable(conflict.in_words())}.")
    if (more := len(result.conflicts) - _SHOWN) > 0:
        tell(f"{counted(more, 'more image')} contradict training labels (--json lists all).")
    notes = [f"{counted(result.left_out, 'training image')} left out"]
    if result.left_out_known_class:
        notes.append(f"{result.left_out_known_class} of the known class left out (hard setting)")
    if result.skipped:
        notes.append(f"{counted(len(result.skipped), 'unreadable image')} skipped")
    tell("; ".join(notes) + ".")


def _show_pixels(pixels: PixelFigures, console: Console) -> None:
    from ahl.scoring.localisation import NEAR

    figures = [digits(pixels.auroc), digits(pixels.aupro), f"{pixels.peak_near:.0%}"]
    titles = [">AUROC", ">AUPRO", f">peak within {NEAR} px of the defect"]
    images = counted(pixels.masked, "image")
    console.print(make_table(titles, [figures], f"Heat maps, by the masks of {images}"))
    if pixels.unmasked:
        tell(
            f"{counted(pixels.unmasked, 'anomaly', 'have')} no readable mask: heat maps are not "
            "measured on them."
        )
