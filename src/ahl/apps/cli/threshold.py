"""`ahl threshold`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ahl._common.errors import ConfigurationError
from ahl._common.text import counted
from ahl.apps.cli.common import (
    check_writable,
    images_of,
    print_json,
    skipped_values,
    stderr_console,
    suggest,
    tell,
)
from ahl.apps.cli.groups import Computing, group_by_names, json_flag, output_model, trained_model
from ahl.apps.cli.labelled import Labels
from ahl.apps.cli.options import option, options, takes

if TYPE_CHECKING:
    from ahl.data.images.sources import LabelledImage
    from ahl.scoring.thresholds import Threshold

FEWEST_TO_DOUBT = 3
"""Fewest labelled defects that, if all are missed out-of-fold, make one doubt the good images."""

_NEXT: Final = 1000
"""Future good images that the expected false alarms are counted among."""


@options
class ThresholdOptions:
    """The options of `ahl threshold`."""

    max_false_alarm_rate: float = option(
        "Share of good images that may be called anomalous.",
        default=0.01,
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
    )
    output: Path | None = output_model(
        "The model file to write [default: MODEL itself].", default=None
    )
    labels: Labels
    group_by: str | None = group_by_names("as the model was trained")
    computing: Computing
    as_json: bool = json_flag()


@click.command()
@trained_model
@click.argument("normals", nargs=-1, metavar="[NORMALS]...")
@takes(ThresholdOptions)
def threshold(model: Path, normals: tuple[str, ...], options: ThresholdOptions) -> None:
    """Set the threshold of MODEL from good images not trained on.

    NORMALS are files, folders or globs of good images; those of parts that MODEL was trained on are
    left out, and several photographs of one part count as one. From a --table with splits, the good
    images of val are used: those of test are for `ahl evaluate`. Without NORMALS, out-of-fold
    scores of the training normals are used. They come from the fold models, which mostly score
    higher than the model itself, so the threshold is conservative.

    The threshold is kept in the model file and changes no score: `ahl predict` then says which
    images are anomalous, and which are too close to call. No distribution of the scores is assumed:
    a rate of 0.01 needs at least 99 good images, and 368 before any image is called anomalous; with
    fewer, images above the threshold are called uncertain.
    """
    from ahl._common.devices import resolve_device
    from ahl.apps.cli.progress import ConsoleCallback
    from ahl.data import refuse_labelled
    from ahl.model.trained import TrainedModel
    from ahl.scoring.thresholds import set_threshold

    target = options.output or model
    check_writable(target)
    options.computing.begin()
    refuse_labelled(normals)
    with ConsoleCallback(stderr_console(quiet=options.as_json)) as callback:
        found = set_threshold(
            TrainedModel.load(model),
            _images(normals, options.labels),
            options.max_false_alarm_rate,
            resolve_device(options.computing.device),
            group_by=options.group_by,
            callback=callback,
        )
    found.model.save(target)
    if options.as_json:
        print_json({"model": str(target), **_as_values(found)})
        return
    _show_left_out(found)
    _show(found)
    suggest("predict", target, "FILE_OR_FOLDER...")


def _images(normals: tuple[str, ...], labels: Labels) -> list[LabelledImage] | None:
    """The good images that were given; None if none were."""
    from ahl._common.types import GOOD
    from ahl.data.images.sources import from_samples, label_images

    if not labels.given:
        return label_images(images_of(normals), GOOD) if normals else None
    if normals:
        raise ConfigurationError("Give NORMALS or the options of labelled images, not both.")
    return from_samples(labels.dataset(None, ["val"]).train_normals)


def _as_values(found: Threshold) -> dict[str, Any]:
    decision = found.decision
    names = ("expected_miss_rate", "miss_rate_low", "miss_rate_high")
    rates = decision.miss_rate or (None, None, None)
    return {
        **asdict(decision),
        **dict(zip(names, rates, strict=True)),
        "skipped": skipped_values(found.normals.skipped),
        "trained_on": found.normals.trained_on,
        "trained_parts": found.normals.trained_parts,
        "same_part": found.normals.same_part,
        "next_images": _NEXT,
        "next_false_alarms": list(decision.false_alarms_among(_NEXT)),
    }


def _show(found: Threshold) -> None:
    from ahl.model.decision import fewest_for_certainty, least_certain_rate

    decision = found.decision
    good = counted(decision.normals, "good image")
    source = "of the training, scored out-of-fold" if decision.held_out else "not trained on"
    low, high = decision.false_alarms_among(_NEXT)
    tell(
        f"Threshold {decision.threshold:.4f}, from {good} {source}.\nA good image lies above it "
        f"with a probability of {decision.expected_false_alarm_rate:.2%} (95 % interval of the "
        f"rate: {decision.false_alarm_rate_low:.2%} to {decision.false_alarm_rate_high:.2%}). Of "
        f"the next {_NEXT:,} good images, {low:,} to {high:,} will lie above it, with a "
        "probability of 95 %."
    )
    if decision.held_out:
        tell(
            "These rates are those of the fold models. The model itself was trained on all of "
            "these images and mostly calls fewer anomalous; give new good images for its own "
            "rate."
        )
    if decision.miss_rate is not None:
        rate, rate_low, rate_high = decision.miss_rate
        tell(
            f"Of {counted(decision.anomalies, 'labelled anomaly')}, scored out-of-fold, "
            f"{decision.missed} would be missed: {rate:.0%} (95 % interval {rate_low:.0%} to "
            f"{rate_high:.0%}). Of kinds that were not trained on, more may be missed."
        )
    if decision.missed == decision.anomalies >= FEWEST_TO_DOUBT:
        tell(
            f"Warning: all of these {decision.anomalies} anomalies would be missed. Are the good "
            "images really good, and of the same product? Defects among them raise the threshold."
        )
    if decision.surely_anomalous is None:
        enough = least_certain_rate(decision.normals)
        other = f"; for --max-false-alarm-rate {enough:g} these are enough" if enough < 1 else ""
        tell(
            f"{counted(decision.normals, 'good image', 'are')} too few to call an image anomalous "
            f"beyond doubt at this rate: those above the threshold are called uncertain. "
            f"{fewest_for_certainty(decision.max_false_alarm_rate)} are needed{other}."
        )


def _show_left_out(found: Threshold) -> None:
    """Print notes on images that were not used: unreadable, trained on, or of the same part."""
    from ahl.apps.cli.progress import ConsoleCallback

    skipped, trained = found.normals.skipped, found.normals.trained_on
    callback = ConsoleCallback(stderr_console())
    for one in skipped:
        callback.on_skipped(one)
    if skipped:
        callback.on_note(f"{counted(len(skipped), 'unreadable image', 'were')} skipped.")
    if trained:
        callback.on_note(f"{counted(trained, 'training image', 'were')} left out.")
    if copies := found.normals.trained_parts:
        callback.on_note(
            f"{counted(copies, 'good image', 'were')} left out: training had other photographs of "
            "their parts."
        )
    if further := found.normals.same_part:
        callback.on_note(
            f"{counted(further, 'good image', 'were')} not scored: another photograph of the same "
            "part was, and each part counts once."
        )
