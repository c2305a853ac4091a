"""`ahl threshold`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ahl.apps.cli.common import (
    check_writable,
    counted,
    device_option,
    errors_as_messages,
    json_option,
    own_name,
    print_json,
    stderr_console,
    threads_option,
    trained_model,
    use_threads,
)

if TYPE_CHECKING:
    from ahl._common.types import Skipped

FEWEST_TO_DOUBT = 3
"""Left-out labelled defects that, if all are missed, make one doubt the good images."""

_NEXT: Final = 1000
"""Good images of the future that are spoken of."""


@click.command()
@trained_model
@click.argument("normals", nargs=-1, metavar="[NORMALS]...")
@click.option(
    "--max-false-alarm-rate",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.01,
    show_default=True,
    help="Share of good images that may be called anomalous.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The model file to write [default: MODEL itself].",
)
@device_option
@threads_option
@json_option
@errors_as_messages
def threshold(
    model: Path,
    normals: tuple[str, ...],
    max_false_alarm_rate: float,
    output: Path | None,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Set where anomalous begins, on good images that MODEL was not trained on.

    NORMALS are files, folders or globs of good images; those that MODEL was trained on are left
    out. Without any, what the detectors of the training said of the good images that each of them
    left out is used: those detectors are not the model itself, which mostly calls fewer images.

    The threshold is kept in the model file and changes no score: `ahl predict` then says which
    images are anomalous, and which are too close to call. Nothing is assumed of the scores: 99 good
    images at least are needed for a rate of 0.01, and 368 before any image is called anomalous
    beyond doubt; until then those above the threshold are uncertain.
    """
    from ahl._common.devices import resolve_device
    from ahl.data import refuse_labelled
    from ahl.data.images.finding import expand_paths
    from ahl.model.decision import fewest_for_certainty, least_certain_rate
    from ahl.model.trained import TrainedModel
    from ahl.scoring.thresholds import set_threshold

    check_writable(output or model)
    use_threads(threads)
    refuse_labelled(normals)
    found = set_threshold(
        TrainedModel.load(model),
        expand_paths(normals) if normals else None,
        max_false_alarm_rate,
        resolve_device(device),
    )
    target = output or model
    found.model.save(target)
    decision, skipped, trained = found.decision, found.normals.skipped, found.normals.trained_on
    rate = decision.miss_rate
    low, high = decision.false_alarms_among(_NEXT)
    if as_json:
        unread = [{"path": one.name, "error": one.reason} for one in skipped]
        counts = {"skipped": unread, "trained_on": trained}
        next_ones = {"next_images": _NEXT, "next_false_alarms": [low, high]}
        names = ("expected_miss_rate", "miss_rate_low", "miss_rate_high")
        rates = dict(zip(names, rate or (None, None, None), strict=True))
        print_json({"model": str(target), **asdict(decision), **rates, **counts, **next_ones})
        return
    _tell_left_out(skipped, trained)
    good = counted(decision.normals, "good image")
    source = "left out by turns in training" if decision.held_out else "not trained on"
    click.echo(
        f"Threshold {decision.threshold:.4f}, from {good} {source}.\n"
        f"A good image lies above it with a chance of {decision.expected_false_alarm_rate:.2%} "
        f"(95 % interval of the rate: {decision.false_alarm_rate_low:.2%} to "
        f"{decision.false_alarm_rate_high:.2%}). Of the next {_NEXT:,} good images, {low:,} to "
        f"{high:,} will lie above it, with a chance of 95 %."
    )
    if decision.held_out:
        click.echo(
            "That holds for the detectors that left them out; the model itself has learned from "
            "all of them, and mostly calls fewer anomalous. Give new ones for its own rate."
        )
    if rate is not None:
        click.echo(
            f"Of {counted(decision.anomalies, 'labelled anomaly')}, each judged by a detector that "
            f"was not trained on it, {decision.missed} would be missed: {rate[0]:.0%} (95 % "
            f"interval {rate[1]:.0%} to {rate[2]:.0%}). Of kinds that were "
            "never shown, more may be."
        )
    if decision.missed == decision.anomalies >= FEWEST_TO_DOUBT:
        click.echo(
            f"Warning: all of these {decision.anomalies} anomalies would be missed. Are the good "
            "images really good, and of the same product? Defects among them raise the threshold."
        )
    if decision.surely_anomalous is None:
        enough = least_certain_rate(decision.normals)
        other = f"; for --max-false-alarm-rate {enough:g} these are enough" if enough < 1 else ""
        click.echo(
            f"{good} {'is' if decision.normals == 1 else 'are'} too few to call an image "
            f"anomalous beyond doubt at this rate: those above the threshold are called uncertain. "
            f"{fewest_for_certainty(max_false_alarm_rate)} are needed{other}."
        )
    click.echo(f"Next: {own_name()} predict {target} FILE_OR_FOLDER...")


def _tell_left_out(skipped: Sequence[Skipped], trained: int) -> None:
    """Name what was not read, up to a limit, and count what was trained on."""
    from rich.markup import escape

    from ahl.apps.cli.progress import SHOWN_SKIPS

    console = stderr_console()
    for one in skipped[:SHOWN_SKIPS]:
        console.print(
            f"[yellow]skipped[/] {escape(one.name)}: {escape(one.reason)}", soft_wrap=True
        )
    if skipped:
        were = "was" if len(skipped) == 1 else "were"
        console.print(f"{counted(len(skipped), 'image')} could not be read and {were} skipped.")
    if trained:
        were = "was" if trained == 1 else "were"
        console.print(
            f"{counted(trained, 'image')} that the model was trained on {were} left out.",
            soft_wrap=True,
        )
