"""`ahl update`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ahl._common.errors import DataError
from ahl._common.text import printable
from ahl.apps.cli.common import (
    images_of,
    make_table,
    print_json,
    stderr_console,
    stdout_console,
    suggest,
    tell,
)
from ahl.apps.cli.groups import Computing, json_flag, output_model, trained_model
from ahl.apps.cli.labelled import Labels
from ahl.apps.cli.options import EXISTING_FOLDER, option, options, takes

if TYPE_CHECKING:
    from ahl._common.callbacks import Callback
    from ahl.pipeline.update_result import Update

SHOWN = 20
"""Most images that are named as wrong since the update."""

_MANY = ("--missed", "--false-alarm")


class _ManyValues(click.Command):
    """Command whose options `_MANY` may be followed by several values, as from a shell's glob."""

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


@options
class UpdateOptions:
    """The options of `ahl update`."""

    missed: tuple[str, ...] = option(
        "Defects that the model missed.", default=(), metavar="FILE..."
    )
    false_alarms: tuple[str, ...] = option(
        "Good images that the model called anomalous.",
        "--false-alarm",
        default=(),
        metavar="FILE...",
    )
    feedback: Path | None = option(
        "Folder of `ahl serve --feedback-dir`.",
        default=None,
        type=EXISTING_FOLDER,
        metavar="FOLDER",
    )
    labels: Labels
    kind: str | None = option(
        "Class of the missed defects [default: the name of their folder where a folder is given, "
        "or where it is a class that was trained on; else 'missed'].",
        default=None,
        metavar="CLASS",
    )
    output: Path | None = output_model(
        "The model file to write [default: MODEL itself].", default=None
    )
    force: bool = option(
        "Save the corrected model even if it makes other images worse.", default=False
    )
    computing: Computing
    as_json: bool = json_flag()


@click.command(cls=_ManyValues)
@trained_model
@takes(UpdateOptions)
def update(model: Path, options: UpdateOptions) -> None:
    """Correct MODEL with images that it got wrong, in seconds.

    \b
      ahl update parts.ahl --missed line3/0815.png --false-alarm line3/0911.png
      ahl update parts.ahl --feedback feedback/

    FILEs may be folders and globs too. The model is trained a little longer, on these images and on
    those stored in it; no others are needed. It is saved only if no more stored examples are wrong
    than before: if more defects than before would lie below the threshold, or more good images
    above it than before and than its rate allows, nothing is written, and the exit status is 1. A
    threshold is set again for its rate; without one, the score that had probability 0.5 is used
    instead, and 5 % of the good images may lie above it. From then on, the images count as trained
    on.

    From a --table, or from --good and --defect, good images count as false alarms, and defects as
    missed, each with its kind.

    From a feedback folder, the images that the model got wrong or was uncertain of are used, except
    those trained on since; each defect with the kind given on the page.

    The stored good images are scored as if each were new, without its own patches in the memory:
    `ahl predict` gives lower scores to these very images.
    """
    from ahl._common.types import GOOD
    from ahl.apps.cli.progress import ConsoleCallback

    given = options.missed or options.false_alarms or options.labels.given
    if not given and options.feedback is None:
        raise click.UsageError(
            "Give --missed FILE... or --false-alarm FILE..., or both, or --feedback FOLDER, or "
            "both kinds by --table FILE."
        )
    if options.kind is not None and options.kind.strip() in ("", GOOD):
        raise click.UsageError(
            f"--kind is {options.kind!r}; expected the class of the missed defects, not good."
        )
    options.computing.begin()
    with ConsoleCallback(stderr_console(quiet=options.as_json)) as callback:
        found = _updated(model, options, callback)
    target, refused = options.output or model, found.worsens and not options.force
    values = as_values(found) | {"model": None if refused else str(target)}
    if options.as_json:
        print_json(values)
    else:
        _show(values)
    if refused:
        raise DataError(
            "Nothing was written, because the corrected model is worse on these: "
            f"{'; '.join(found.refusals)}. Check the labels, train again with the new images, or "
            "save it anyway with --force."
        )
    found.model.save(target)
    if not options.as_json:
        click.echo(f"Model: {target}")
        suggest("predict", target, "FILE_OR_FOLDER...")


def _updated(model: Path, options: UpdateOptions, callback: Callback) -> Update:
    from ahl._common.types import GOOD
    from ahl.data.images.sources import from_samples, label_images
    from ahl.model.trained import TrainedModel
    from ahl.pipeline.feedback.answers import feedback_images
    from ahl.pipeline.settings import RunSettings
    from ahl.pipeline.update import MISSED_CLASS, update_with_images

    loaded = TrainedModel.load(model)
    paths = images_of(options.missed) if options.missed else []
    known, named = loaded.manifest.seen_classes, {str(Path(one)) for one in options.missed}
    kinds = []
    for path in paths:
        folder = path.resolve().parent.name
        is_kind = folder in known or str(path) not in named
        kinds.append(options.kind or (folder if is_kind else MISSED_CLASS))
    defects = label_images(paths, kinds)
    good = label_images(images_of(options.false_alarms) if options.false_alarms else [], GOOD)
    if options.labels.given:
        dataset = options.labels.dataset(None)
        defects += from_samples(dataset.anomalies)
        good += from_samples(dataset.train_normals)
    if options.feedback is not None:
        answered = feedback_images(options.feedback, loaded.manifest)
        defects, good = defects + answered.missed, good + answered.false_alarms
    run = RunSettings(device=options.computing.device, strict=True, callback=callback)
    return update_with_images(loaded, defects, good, run)


def as_values(found: Update) -> dict[str, Any]:
    """The update as JSON values."""
    from ahl.scoring.metrics import auroc

    first, own = found.worked.stop, found.anomalous[found.worked]
    rights = {"before": found.right_before, "after": found.right_after}
    images = [
        {
            "name": one.name,
            "label": "defect" if found.anomalous[i] else "good",
            "class": one.class_name,
            "score_before": float(found.before[i]),
            "score_after": float(found.after[i]),
            **{f"right_{w}": None if r is None else bool(r[i]) for w, r in rights.items()},
        }
        for i, one in enumerate(found.known.images)
    ]
    known = {
        name: {
            "images": int(kind.sum()),
            **{
                f"wrong_{when}": None if right is None else int((~right[:first][kind]).sum())
                for when, right in rights.items()
            },
        }
        for name, kind in (("good", ~own), ("defects", own))
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
        "refusals": found.refusals,
        "threshold_lost": found.threshold_lost,
    }


def _show(values: dict[str, Any]) -> None:
    console = stdout_console()
    rows = []
    for one in values["corrected"]:
        now = {None: "-", True: "right", False: "still wrong"}[one["right_after"]]
        now += ", as before" if one["right_before"] else ""
        scores = (f"{one[f'score_{when}']:.2f}" for when in ("before", "after"))
        rows.append([printable(one["name"]), printable(one["class"]), *scores, now])
    limits = [values["limit_before"], values["limit_after"]]
    if None not in limits:
        rows.append(["anomalous above", "", *(f"{limit:.2f}" for limit in limits), ""])
    columns = ["image", "is", ">score before", ">after", "now"]
    console.print(make_table(columns, rows, "Corrected images"))
    rows = [
        [name, *("-" if number is None else str(number) for number in one.values())]
        for name, one in values["known"].items()
    ]
    columns = ["images", ">known", ">wrong before", ">wrong after"]
    console.print(make_table(columns, rows, "All other stored images (good ones as if new)"))
    if values["auroc_before"] is not None:
        figures = f"{values['auroc_before']:.4f} before, {values['auroc_after']:.4f} after"
        tell(f"AUROC of these: {figures}.")
    for one in values["wrong_since"][:SHOWN]:
        tell(
            f"wrong now: {printable(one['name'])} ({one['label']}), {one['score_before']:.2f} "
            f"before, {one['score_after']:.2f} after"
        )
    hidden = len(values["wrong_since"]) - SHOWN
    if hidden > 0:
        tell(f"... and {hidden} more.")
    still = sum(one["right_after"] is False for one in values["corrected"])
    if still:
        tell(
            f"{still} of {len(values['corrected'])} are still wrong: more images like them, or a "
            "new training, may help."
        )
    if values["threshold_lost"]:
        tell(
            "The threshold was removed: too few of the good images that it was set on are left "
            "for its rate. Set it again with `ahl threshold`."
        )
