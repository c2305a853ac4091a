"""`ahl train`."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from ahl._common.errors import ConfigurationError
from ahl._common.text import counted
from ahl.apps.cli.common import (
    check_writable,
    own_name,
    print_json,
    skipped_values,
    stderr_console,
    stdout_console,
    tell,
)
from ahl.apps.cli.groups import (
    Caching,
    Computing,
    Features,
    Logging,
    group_by_names,
    json_flag,
    output_model,
    seed_number,
)
from ahl.apps.cli.labelled import Labels, labelled_data
from ahl.apps.cli.options import POSITIVE, option, options, takes

if TYPE_CHECKING:
    from ahl._common.callbacks import Callback
    from ahl.apps.cli.progress import ConsoleCallback
    from ahl.config import Config
    from ahl.data import Dataset, TrainingSplit
    from ahl.estimator import AHL


@options
class TrainOptions:
    """The options of `ahl train`."""

    output: Path = output_model()
    labels: Labels
    heads: Literal["dra", "devnet"] = option(
        "Base detector: four heads (dra) or one (devnet).", default="dra"
    )
    preset: Literal["default", "paper"] = option(
        "Hyperparameters: those that measured best here (default), or the published ones (paper).",
        default="default",
    )
    features: Features
    anomalies: int | None = option(
        "Draw M training anomalies and leave the others for `ahl evaluate`, with 25 % of the "
        "good images of an inspection layout [default: train on all; 10 in a benchmark layout].",
        default=None,
        type=POSITIVE,
        metavar="M",
    )
    setting: Literal["general", "hard"] = option(
        "Draw them from all classes (general), or from one known class only (hard).",
        default="general",
    )
    known_class: str | None = option(
        "The class to draw from in the hard setting.", default=None, metavar="C"
    )
    group_by: str | None = group_by_names()
    seed: int = seed_number()
    epochs: int | None = option("Epochs [default: the preset's].", default=None, type=POSITIVE)
    episodes: bool | None = option(
        "Train with AHL's episodes (Algorithm 1), or the base detector alone; episodes take "
        "several times as long and seldom help (docs/does-ahl-help.md) [default: the preset's; "
        "paper uses them].",
        "--episodes/--no-episodes",
        default=None,
        is_flag=True,
    )
    second_order: bool = option(
        "With episodes, differentiate through the inner steps.", default=False
    )
    finetune: bool = option(
        "Train the backbone end to end first: slow, and less accurate on HeadCT, where measured.",
        default=False,
    )
    strict: bool = option("Stop at the first unreadable image.", default=False)
    computing: Computing
    caching: Caching
    resume: bool = option("Continue an interrupted run after its last epoch.", default=False)
    logging: Logging
    profile: bool = option("Show the seconds that each stage took.", default=False)
    as_json: bool = json_flag()

    def config(self) -> Config:
        """All constants of the run.

        Raises:
            ConfigurationError: if options contradict each other, or a value cannot work.
        """
        config = self.features.config(self.preset)
        episodes = config.learning.episodes if self.episodes is None else self.episodes
        if self.second_order and not episodes:
            raise ConfigurationError("--second-order needs --episodes; add it.")
        learning = replace(
            config.learning,
            second_order=self.second_order,
            epochs=self.epochs or config.learning.epochs,
        )
        return replace(config, learning=learning)


@click.command()
@labelled_data
@takes(TrainOptions)
def train(data: Path | None, options: TrainOptions) -> None:
    """Train a detector on labelled images and write one model file.

    \b
    DATA is laid out in one of two ways:
      inspection: DATA/good/*  DATA/<defect class>/*  (all defects train)
      benchmark:  DATA/train/good/*  DATA/test/good/*  DATA/test/<defect class>/*

    Give images in any other layout by --good and --defect, or by --table, and a public dataset as
    downloaded by NAME=FOLDER (`ahl datasets list`). Masks are recognised by their names; files that
    are left out are reported.

    One labelled defect is enough to start; ten are better. Unreadable images are skipped and
    counted. Photographs of one part (by --group-by, or copies) stay on one side of a split.
    --resume continues an interrupted run.
    """
    from ahl._common.distributed import process_rank
    from ahl.apps.cli.progress import ConsoleCallback, profile_table, profile_values
    from ahl.estimator import AHL
    from ahl.pipeline.settings import RunSettings

    started = time.monotonic()
    output, first = options.output, process_rank() == 0
    if not first and not options.finetune:
        return  # the first one alone has work
    with ExitStack() as stack:
        options.computing.begin()
        quiet = options.as_json or not first
        console = stack.enter_context(ConsoleCallback(stderr_console(quiet=quiet)))
        callback: Callback = console
        if first:
            check_writable(output)
            callback = options.logging.beside(console)
        checkpoint = output.with_name(f"{output.name}.checkpoint")
        detector = AHL(
            options.heads,
            **options.features.choice(),
            config=options.config(),
            seed=options.seed,
            episodes=options.episodes,
            finetune=options.finetune,
            run=RunSettings(
                device=options.computing.device,
                cache=options.caching.place,
                checkpoint=checkpoint,
                resume=options.resume,
                strict=options.strict,
                callback=callback,
            ),
        )
        with callback.run(
            {"verb": "train", "data": options.labels.again(data), "model": str(output)}
            | detector.facts
        ):
            dataset = options.labels.dataset(data, ["train"], callback.on_note)
            split = _drawn(dataset, options, callback)
            if split.left_out:
                callback.on_note(
                    f"{counted(split.left_out, 'image', 'are')} left out of the test: training "
                    "has photographs of the same parts."
                )
            if checkpoint.exists() and not options.resume:
                callback.on_note(
                    "There is an unfinished run, which this one will overwrite after its first "
                    "epoch; --resume continues it."
                )
            detector.fit_split(split)
            if first:
                _warn_of_small_defects(detector, split, callback)
                detector.save(output)
    if not first:
        return
    seconds = time.monotonic() - started
    summary = _summary(detector, output, console, seconds)
    summary["left_out"] = split.left_out
    if options.as_json:
        if options.profile:
            summary["profile"] = profile_values(console.times, seconds)
        print_json(summary)
        return
    if options.profile:
        stdout_console().print(profile_table(console.times, seconds))
    tested = split.drawn != "all" or options.labels.has_test
    _show(summary, options.labels.again(data) if tested else "LABELLED_FOLDER")


def _drawn(dataset: Dataset, options: TrainOptions, callback: Callback) -> TrainingSplit:
    """Draw the split, keeping parts together; if all images train, the training finds the parts."""
    from ahl.data import draw_split
    from ahl.data.with_parts import with_parts

    if options.anomalies is None and dataset.layout == "inspection":
        dataset = replace(dataset, group_by=options.group_by)
    else:
        dataset, found = with_parts(
            dataset,
            callback,
            group_by=options.group_by,
            bit_depth=options.features.bit_depth,
        )
        for note in found.notes("stay on one side of the split"):
            callback.on_note(note)
    return draw_split(
        dataset,
        anomalies=options.anomalies,
        setting=options.setting,
        known_class=options.known_class,
        seed=options.seed,
    )


def _warn_of_small_defects(detector: AHL, split: TrainingSplit, callback: Callback) -> None:
    from ahl.data.masks import defect_masks, help_for_small_defects, is_smaller_than_a_cell

    model = detector.model_
    _, rows, columns = model.layout.scales[0]
    masks = defect_masks(split.anomalies)
    small = [is_smaller_than_a_cell(mask, rows * columns) for mask in masks]
    if any(small):
        callback.on_note(
            f"Of {counted(len(small), 'training defect')} with masks, {sum(small)} may be missed, "
            f"because they are smaller than one cell of the {rows} x {columns} feature map: "
            f"{help_for_small_defects(model.config.features.tiles)}."
        )


def _summary(
    detector: AHL, output: Path, console: ConsoleCallback, seconds: float
) -> dict[str, Any]:
    from ahl._common.types import GOOD

    model = detector.model_
    counts = Counter(file.class_name for file in model.manifest.files)
    last = model.history[-1]
    return {
        "model": str(output),
        "heads": model.detector.name,
        "seed": model.seed,
        "images": dict(sorted(counts.items(), key=lambda one: (one[0] != GOOD, one[0]))),
        "skipped": skipped_values(console.skipped),
        "notes": console.notes,
        "copies": model.manifest.copies,
        "epochs": last.epoch,
        "support_loss": last.mean_losses["support"],
        "importance": list(last.importance),
        "seconds": round(seconds, 1),
    }


def _show(summary: dict[str, Any], labelled: str) -> None:
    """Print the summary for people, and the next commands; `labelled` is what to evaluate on."""
    images = ", ".join(f"{count} {name}" for name, count in summary["images"].items())
    tell(f"Trained on {images} in {summary['seconds']} s.")
    if summary["skipped"]:
        skipped = counted(len(summary["skipped"]), "unreadable image", "were")
        tell(f"{skipped} skipped.")
    model, ahl = summary["model"], own_name()
    click.echo(f"Model: {model}")
    click.echo(f"Next: {ahl} predict {model} FILE_OR_FOLDER...")
    click.echo(f"  or: {ahl} evaluate {model} {labelled}")
