"""`ahl train`."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ahl.apps.cli.backbone_options import backbone_options, parse_arguments, parse_stages
from ahl.apps.cli.common import (
    cache_option,
    check_writable,
    chosen_cache,
    device_option,
    errors_as_messages,
    json_option,
    no_cache_option,
    own_name,
    print_json,
    seed_option,
    stderr_console,
    stdout_console,
    threads_option,
    use_threads,
)
from ahl.apps.cli.log_options import log_options, with_logs

if TYPE_CHECKING:
    from ahl._common.callbacks import Callback
    from ahl._common.types import Skipped
    from ahl.config import Config
    from ahl.data import TrainingSplit
    from ahl.estimator import AHL


@click.command()
@click.argument("data", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--output",
    "-o",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The model file to write.",
)
@click.option(
    "--base",
    type=click.Choice(["dra", "devnet"]),
    default="dra",
    show_default=True,
    help="Base detector: four heads (dra) or one (devnet).",
)
@click.option(
    "--preset",
    type=click.Choice(["default", "paper"]),
    default="default",
    show_default=True,
    help="Constants: what measured best here, or the published ones.",
)
@backbone_options
@click.option(
    "--anomalies",
    type=click.IntRange(min=1),
    metavar="M",
    help="Draw M training anomalies and leave the others for `ahl evaluate`, with 25 % of the good "
    "images in an inspection layout [default: all there, 10 in a benchmark layout].",
)
@click.option(
    "--setting",
    type=click.Choice(["general", "hard"]),
    default="general",
    show_default=True,
    help="Draw them from all classes, or from one known class only.",
)
@click.option("--known-class", metavar="C", help="The class to draw from in the hard setting.")
@seed_option
@click.option("--epochs", type=click.IntRange(min=1), help="Epochs [default: the preset's].")
@click.option("--alone", is_flag=True, help="Train the base detector alone, for comparison.")
@click.option("--second-order", is_flag=True, help="Differentiate through the inner steps.")
@click.option("--finetune", is_flag=True, help="Train the backbone end to end first (slow on CPU).")
@click.option("--strict", is_flag=True, help="Stop at the first unreadable image.")
@device_option
@threads_option
@cache_option
@no_cache_option
@click.option("--resume", is_flag=True, help="Go on after the last epoch of a killed run.")
@log_options
@click.option("--profile", is_flag=True, help="Say where the time went, part by part.")
@json_option
@errors_as_messages
def train(
    data: Path,
    output: Path,
    preset: str,
    image_size: str | None,
    tiles: int | None,
    epochs: int | None,
    backbone_args: tuple[str, ...],
    anomalies: int | None,
    setting: str,
    known_class: str | None,
    stages: str | None,
    alone: bool,
    second_order: bool,
    cache: Path | None,
    no_cache: bool,
    threads: int | None,
    resume: bool,
    log: Path | None,
    tensorboard: Path | None,
    mlflow: str | None,
    profile: bool,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - passed on to AHL as they are
) -> None:
    """Train a detector on the images in DATA and write one model file.

    \b
    DATA is laid out in one of two ways:
      inspection: DATA/good/*  DATA/<defect class>/*      (all labelled defects train)
      benchmark:  DATA/train/good/*  DATA/test/good/*  DATA/test/<defect class>/*

    One labelled defect is enough to start; ten are better. Unreadable images are skipped and
    counted. A killed run goes on with --resume.
    """
    # click keeps the options in their groups; what follows is the order of the work.
    from ahl._common.distributed import process_rank
    from ahl.apps.cli.profile import profile_table, profile_values
    from ahl.apps.cli.progress import ConsoleCallback
    from ahl.config import preset as preset_config
    from ahl.data import draw_split, open_dataset
    from ahl.estimator import AHL

    started = time.monotonic()
    first = process_rank() == 0
    with ExitStack() as stack:
        features = chosen_cache(cache, no_cache)
        use_threads(threads)
        quiet = as_json or not first
        console = stack.enter_context(ConsoleCallback(stderr_console(quiet=quiet)))
        callback: Callback = console
        if first:
            check_writable(output)
            callback = with_logs(console, log=log, tensorboard=tensorboard, mlflow=mlflow)
        checkpoint = output.with_name(f"{output.name}.checkpoint")
        detector = AHL(
            config=_config(
                preset_config(preset, image_size=image_size, tiles=tiles),
                epochs,
                alone=alone,
                second_order=second_order,
            ),
            backbone_arguments=parse_arguments(backbone_args),
            stages=parse_stages(stages),
            cache=features,
            checkpoint=checkpoint,
            resume=resume,
            callback=callback,
            **options,
        )
        with callback.run(
            {"verb": "train", "data": str(data), "model": str(output)} | detector.facts
        ):
            split = draw_split(
                open_dataset(data),
                anomalies=anomalies,
                setting="hard" if setting == "hard" else "general",
                known_class=known_class,
                seed=options["seed"],
            )
            if checkpoint.exists() and not resume:
                callback.on_note(
                    "There is an unfinished run, which this one's first epoch will overwrite; "
                    "--resume goes on with it."
                )
            detector.fit_split(split)
            if first:
                _tell_of_small_defects(detector, split, data, callback)
                detector.save(output)
    if not first:
        return
    seconds = time.monotonic() - started
    summary = _summary(detector, output, console.skipped, seconds)
    if as_json:
        print_json(
            summary | ({"profile": profile_values(console.times, seconds)} if profile else {})
        )
        return
    if profile:
        stdout_console().print(profile_table(console.times, seconds))
    _show(summary, data, drawn=split.drawn != "all")


def _config(config: Config, epochs: int | None, *, alone: bool, second_order: bool) -> Config:
    from dataclasses import replace

    learning = replace(
        config.learning,
        collaborative=not alone,
        second_order=second_order,
        epochs=config.learning.epochs if epochs is None else epochs,
    )
    return replace(config, learning=learning)


def _tell_of_small_defects(
    detector: AHL, split: TrainingSplit, root: Path, callback: Callback
) -> None:
    from ahl.data.masks import defect_masks, help_for_small_defects, is_smaller_than_a_cell

    model = detector.model
    _, rows, columns = model.layout.scales[0]
    small = [
        is_smaller_than_a_cell(mask, rows * columns) for mask in defect_masks(split.anomalies, root)
    ]
    if any(small):
        callback.on_note(
            f"{sum(small)} of the {len(small)} training defects that have masks are smaller than "
            f"one cell of the {rows} x {columns} feature map and may be missed: "
            f"{help_for_small_defects(model.config.features.tiles)}."
        )


def _summary(detector: AHL, output: Path, skipped: list[Skipped], seconds: float) -> dict[str, Any]:
    from collections import Counter

    model = detector.model
    counts = Counter(file.class_name for file in model.manifest.files)
    last = model.history[-1]
    return {
        "model": str(output),
        "base": model.detector.name,
        "seed": model.seed,
        "images": dict(sorted(counts.items())),
        "skipped": [{"path": one.name, "error": one.reason} for one in skipped],
        "epochs": last.epoch,
        "support_loss": sum(last.support_losses) / len(last.support_losses),
        "importance": list(last.importance),
        "seconds": round(seconds, 1),
    }


def _show(summary: dict[str, Any], data: Path, *, drawn: bool) -> None:
    console = stdout_console()
    images = ", ".join(f"{count} {name}" for name, count in summary["images"].items())
    console.print(f"Trained on {images} in {summary['seconds']} s.", soft_wrap=True, markup=False)
    if summary["skipped"]:
        count = len(summary["skipped"])
        images, were = ("image", "was") if count == 1 else ("images", "were")
        console.print(f"{count} {images} could not be read and {were} skipped.")
    console.print(f"Model: {summary['model']}", soft_wrap=True, markup=False)
    console.print(
        f"Next: {own_name()} predict {summary['model']} FILE_OR_FOLDER...   or   "
        f"{own_name()} evaluate {summary['model']} {data if drawn else 'LABELLED_FOLDER'}",
        soft_wrap=True,
        markup=False,
    )
