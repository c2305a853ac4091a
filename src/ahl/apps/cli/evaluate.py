"""`ahl evaluate`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ahl._common.errors import ConfigurationError
from ahl.apps.cli.common import (
    check_writable,
    device_option,
    errors_as_messages,
    figure,
    json_option,
    print_json,
    stderr_console,
    stdout_console,
    threads_option,
    trained_model,
    use_threads,
)

if TYPE_CHECKING:
    from ahl.scoring.evaluation import Evaluation


@click.command()
@trained_model
@click.argument("data", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also draw the scores and the worst misses as a PNG.",
)
@device_option
@threads_option
@json_option
@errors_as_messages
def evaluate(
    model: Path,
    data: Path,
    picture: Path | None,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Measure a trained MODEL on the labelled images in DATA.

    DATA is laid out as for `ahl train`. Images that the model was trained on are left out, by
    their content. Figures are image-level: AUROC over all anomalies, over those of classes
    with a training example (seen) and of the others (unseen) apart, average precision, and the
    false-positive rate where 95 % of the anomalies are found. Where `ahl threshold` has set a
    threshold, the images above it are counted, class by class.
    """
    from ahl.apps.cli.progress import ConsoleCallback
    from ahl.apps.report.picture import draw_picture
    from ahl.data import open_dataset
    from ahl.estimator import AHL
    from ahl.scoring.evaluation import evaluate as measure

    if picture is not None and picture.suffix.lower() != ".png":
        raise ConfigurationError(f"The picture is a PNG: call it {picture.with_suffix('.png')}.")
    check_writable(picture)
    use_threads(threads)
    dataset = open_dataset(data)
    detector = AHL.load(model, device=device)
    with ConsoleCallback(stderr_console(quiet=as_json)) as callback:
        result = measure(
            detector.scorer,
            dataset,
            progress=lambda done, total: callback.on_stage("scoring", done, total),
        )
        for skipped in result.skipped:
            callback.on_skipped(skipped)
    if picture is not None:
        draw_picture(
            result.scored,
            picture,
            title=f"{dataset.name}: how well anomalies stand out",
            subtitle=f"AHL({detector.model.detector.name}), seed {detector.model.seed}",
            threshold=result.threshold,
        )
    if as_json:
        print_json(as_values(result))
    else:
        show(result)
        if picture is not None:
            click.echo(f"Picture: {picture}")


def as_values(result: Evaluation) -> dict[str, Any]:
    """The evaluation as JSON values."""
    return {
        "auroc": result.auroc,
        "average_precision": result.average_precision,
        "auroc_seen": result.auroc_seen,
        "auroc_unseen": result.auroc_unseen,
        "fpr95": result.fpr95,
        "threshold": result.threshold,
        "classes": {name: asdict(one) for name, one in result.classes.items()},
        "left_out": result.left_out,
        "left_out_known_class": result.left_out_known_class,
        "threshold_images": result.threshold_images,
        "skipped": [{"path": one.name, "error": one.reason} for one in result.skipped],
    }


def show(result: Evaluation) -> None:
    """Print the evaluation as tables."""
    from rich.table import Table

    from ahl._common.types import GOOD

    console = stdout_console()
    table = Table(title="Image-level figures", title_justify="left")
    for name in ("AUROC", "AUROC seen", "AUROC unseen", "average precision", "FPR at 95 % TPR"):
        table.add_column(name, justify="right")
    values = (
        result.auroc,
        result.auroc_seen,
        result.auroc_unseen,
        result.average_precision,
        result.fpr95,
    )
    table.add_row(*map(figure, values))
    console.print(table)
    classes = Table(title="By class", title_justify="left")
    classes.add_column("class")
    classes.add_column("images", justify="right")
    classes.add_column("in training")
    classes.add_column("AUROC", justify="right")
    if result.threshold is not None:
        classes.add_column(f"above {result.threshold:.4f}", justify="right")
    for name, one in result.classes.items():
        known = "normal" if name == GOOD else "seen" if one.seen else "unseen"
        called = () if one.called_anomalous is None else (str(one.called_anomalous),)
        classes.add_row(name, str(one.count), known, figure(one.auroc), *called)
    console.print(classes)
    if result.auroc is None:
        lacking = "good images" if GOOD not in result.classes else "anomalies"
        console.print(f"No {lacking} are left to test: figures need both.", soft_wrap=True)
    if result.threshold_images:
        verb = "is" if result.threshold_images == 1 else "are"
        console.print(
            f"Of the good images tested, {result.threshold_images} {verb} among those that the "
            "threshold was set on: what share of them lies above it was chosen, not found out.",
            soft_wrap=True,
        )
    notes = [f"{result.left_out} training images left out"]
    if result.left_out_known_class:
        notes.append(f"{result.left_out_known_class} of the known class left out (hard setting)")
    if result.skipped:
        notes.append(f"{len(result.skipped)} unreadable images skipped")
    console.print("; ".join(notes) + ".", soft_wrap=True)
