"""`ahl update`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ahl._common.errors import DataError
from ahl.apps.cli.common import (
    device_option,
    errors_as_messages,
    json_option,
    own_name,
    print_json,
    stderr_console,
    stdout_console,
    threads_option,
    trained_model,
    use_threads,
)

if TYPE_CHECKING:
    from ahl.pipeline.correction import Correction

SHOWN = 20
"""Images named that are wrong since the correction."""

_MANY = ("--missed", "--false-alarm")


class _ManyValues(click.Command):
    """Lets an option be followed by several values, as the shell's globs give them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Write the option before each of its values."""
        spread, option = list[str](), ""
        for argument in args:
            if argument.startswith("-") and len(argument) > 1:
                option = argument if argument in _MANY else ""
                spread += [] if option else [argument]
            else:
                spread += [option, argument] if option else [argument]
        return super().parse_args(ctx, spread)


@click.command(cls=_ManyValues)
@trained_model
@click.option("--missed", multiple=True, metavar="FILE...", help="Defects that it did not find.")
@click.option(
    "--false-alarm",
    "false_alarms",
    multiple=True,
    metavar="FILE...",
    help="Good images that it took for defects.",
)
@click.option(
    "--review",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="What people marked in `ahl serve --review-dir FOLDER`.",
)
@click.option(
    "--kind",
    metavar="CLASS",
    help="Class of the missed defects [default: their folder's name if that is a class that was "
    "trained on, else 'missed'].",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The model file to write [default: MODEL itself].",
)
@click.option("--force", is_flag=True, help="Take the correction whatever it makes worse.")
@device_option
@threads_option
@json_option
@errors_as_messages
def update(
    model: Path,
    missed: tuple[str, ...],
    false_alarms: tuple[str, ...],
    review: Path | None,
    kind: str | None,
    output: Path | None,
    force: bool,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Correct MODEL by images that it got wrong, in seconds, without those it was trained on.

    \b
      ahl update parts.ahl --missed line3/0815.png line3/0816.png --false-alarm line3/0911.png
      ahl update parts.ahl --review marks

    FILEs may be folders and globs too. The model goes on training a little, on these images and on
    those that it keeps, and is held to everything it knows: where more defects than before would
    lie below the threshold, or more good images above it than before and than its rate allows,
    nothing is written, and the exit status is 1. A threshold is set anew for its rate; without one,
    the score that had probability 0.5 takes its place, and 5 % of the good images may lie above it.
    The images count as trained on from then on.

    Of a review folder it takes what the model had wrong when it was marked, and has not learnt yet;
    each defect with the kind that it was marked as.

    What it keeps of good images is scored as if each were new, without its own patches in the
    memory: `ahl predict` gives the images themselves lower scores.
    """
    from ahl._common.devices import resolve_device
    from ahl._common.types import GOOD
    from ahl.apps.cli.progress import ConsoleCallback
    from ahl.data.images.finding import expand_paths
    from ahl.data.images.sources import label_images
    from ahl.model.trained import TrainedModel
    from ahl.pipeline.reviewed import reviewed_images
    from ahl.pipeline.update import MISSED_CLASS, update_with_images

    if not missed and not false_alarms and review is None:
        raise click.UsageError(
            "Give --missed FILE... or --false-alarm FILE..., or both, or --review FOLDER."
        )
    if kind is not None and kind.strip() in ("", GOOD):
        raise click.UsageError("Name the class of the missed defects: not good, and not nothing.")
    use_threads(threads)
    loaded = TrainedModel.load(model)
    paths = expand_paths(missed) if missed else []
    known, folders = loaded.manifest.seen_classes, [path.resolve().parent.name for path in paths]
    kinds = [kind or (name if name in known else MISSED_CLASS) for name in folders]
    defects = label_images(paths, kinds)
    good = label_images(expand_paths(false_alarms) if false_alarms else [], GOOD)
    if review is not None:
        reviewed = reviewed_images(review, loaded.manifest)
        defects, good = defects + reviewed.missed, good + reviewed.false_alarms
    with ConsoleCallback(stderr_console(quiet=as_json)) as callback:
        found = update_with_images(
            loaded,
            defects,
            good,
            device=resolve_device(device),
            strict=True,
            callback=callback,
        )
    target, refused = output or model, found.worsens and not force
    told = as_values(found) | {"model": None if refused else str(target)}
    if as_json:
        print_json(told)
    else:
        _show(told)
    if refused:
        raise DataError(
            "More known images would be wrong than before and than is allowed, so nothing was "
            "written. Check the labels, or train again with the new images, or --force it."
        )
    found.model.save(target)
    if not as_json:
        click.echo(f"Model: {target}\nNext: {own_name()} predict {target} FILE_OR_FOLDER...")


def as_values(found: Correction) -> dict[str, Any]:
    """The correction as JSON values."""
    from ahl.scoring.metrics import auroc

    first, anomalous = found.worked.stop, found.anomalous
    rights = found.right_before, found.right_after
    images = [
        {
            "name": one.name,
            "label": "defect" if anomalous[i] else "good",
            "score_before": float(found.before[i]),
            "score_after": float(found.after[i]),
            "right_before": None if rights[0] is None else bool(rights[0][i]),
            "right_after": None if rights[1] is None else bool(rights[1][i]),
        }
        for i, one in enumerate(found.known.images)
    ]
    own = anomalous[:first]
    known: dict[str, dict[str, int | None]] = {}
    for name, kind in (("good", ~own), ("defects", own)):
        wrong = [None if right is None else int((~right[:first][kind]).sum()) for right in rights]
        known[name] = {
            "images": int(kind.sum()),
            "wrong_before": wrong[0],
            "wrong_after": wrong[1],
        }
    return {
        "limit_before": found.limit_before,
        "limit_after": found.limit_after,
        "allowed_false_alarm_rate": found.allowed,
        "corrected": images[first:],
        "known": known,
        "auroc_before": auroc(own.numpy(), found.before[:first].numpy()),
        "auroc_after": auroc(own.numpy(), found.after[:first].numpy()),
        "wrong_since": [
            one for one in images[:first] if one["right_before"] and one["right_after"] is False
        ],
        "worsens": found.worsens,
        "threshold_lost": found.threshold_lost,
    }


def _show(told: dict[str, Any]) -> None:
    from rich.markup import escape
    from rich.table import Table

    console = stdout_console()
    table = Table(title="What it was told", title_justify="left")
    table.add_column("image", overflow="fold")
    table.add_column("is")
    for name in ("score before", "after"):
        table.add_column(name, justify="right")
    table.add_column("now")
    for one in told["corrected"]:
        words = {None: "-", True: "right", False: "still wrong"}[one["right_after"]]
        if one["right_before"]:
            words += ", as before"
        scores = (f"{one[f'score_{when}']:.2f}" for when in ("before", "after"))
        table.add_row(escape(one["name"]), one["label"], *scores, words)
    if told["limit_before"] is not None and told["limit_after"] is not None:
        limits = (f"{told[f'limit_{when}']:.2f}" for when in ("before", "after"))
        table.add_row("anomalous above", "", *limits, "", style="dim")
    console.print(table)
    known = Table(title="All else it knows (good images as if new)", title_justify="left")
    known.add_column("images")
    for name in ("known", "wrong before", "wrong after"):
        known.add_column(name, justify="right")
    for name, one in told["known"].items():
        wrong = (one["wrong_before"], one["wrong_after"])
        known.add_row(name, str(one["images"]), *("-" if w is None else str(w) for w in wrong))
    console.print(known)
    if told["auroc_before"] is not None:
        figures = f"{told['auroc_before']:.4f} before, {told['auroc_after']:.4f} after"
        console.print(f"AUROC of all else: {figures}.")
    for one in told["wrong_since"][:SHOWN]:
        console.print(
            f"wrong since: {escape(one['name'])} ({one['label']}), "
            f"{one['score_before']:.2f} before, {one['score_after']:.2f} after",
            soft_wrap=True,
        )
    hidden = len(told["wrong_since"]) - SHOWN
    if hidden > 0:
        console.print(f"... and {hidden} more.")
    still = sum(one["right_after"] is False for one in told["corrected"])
    if still:
        console.print(
            f"{still} of {len(told['corrected'])} are still wrong: more images like them, or a new "
            "training, may help."
        )
    if told["threshold_lost"]:
        console.print(
            "The threshold is gone: too few of the good images that it was set on are left for its "
            "rate. Set it again with `ahl threshold`."
        )
