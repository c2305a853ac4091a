"""`ahl advise`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

import click

from ahl.apps.cli.common import print_json, stderr_console, tell
from ahl.apps.cli.groups import (
    Caching,
    Computing,
    Features,
    group_by_names,
    json_flag,
    seed_number,
)
from ahl.apps.cli.labelled import Labels, labelled_data
from ahl.apps.cli.options import POSITIVE, option, options, takes


@options
class AdviseOptions:
    """The options of `ahl advise`."""

    heads: Literal["devnet", "dra"] = option(
        "Base detector; `ahl train` has dra by default, which takes several times as long.",
        default="devnet",
    )
    labels: Labels
    group_by: str | None = group_by_names()
    features: Features
    anomalies: int | None = option(
        "Number of labelled defects that the model will be trained on [default: all].",
        default=None,
        type=POSITIVE,
        metavar="M",
    )
    quick: bool = option(
        "Score each image once, measure only the end of the learning curve, and try no larger "
        "image size.",
        default=False,
    )
    seed: int = seed_number()
    computing: Computing
    caching: Caching
    as_json: bool = json_flag()


@click.command()
@labelled_data
@takes(AdviseOptions)
def advise(data: Path | None, options: AdviseOptions) -> None:
    """Check labelled images before or after training on them.

    DATA is laid out as for `ahl train`. Do the labels beat good images alone, would more of them
    help, is a new kind of defect found, which images look mislabelled, which are there twice
    (worst: once as good and once as a defect), and is the image size enough? Each answer comes
    with its figures, measured on images held out of training, and is "cannot tell" if there are
    too few images. Nothing is changed and no model is written.
    """
    from ahl.apps.advise import advise as look_over
    from ahl.apps.advise import sections
    from ahl.apps.cli.progress import ConsoleCallback

    cache = options.caching.place
    options.computing.begin()
    started = time.monotonic()
    with ConsoleCallback(stderr_console(quiet=options.as_json)) as callback:
        advice = look_over(
            options.labels.dataset(data),
            heads=options.heads,
            **options.features.choice(),
            config=options.features.config(),
            anomalies=options.anomalies,
            quick=options.quick,
            seed=options.seed,
            device=options.computing.device,
            cache=cache,
            group_by=options.group_by,
            callback=callback,
        )
    seconds = round(time.monotonic() - started, 1)
    answers = sections(advice)
    if options.as_json:
        shown = [{"title": one.title, "lines": list(one.lines)} for one in answers]
        print_json({**advice.to_dict(), "sections": shown, "seconds": seconds})
        return
    for answer in answers:
        click.echo(click.style(answer.title, bold=True))
        for line in answer.lines:
            tell(f"  {line}")
        click.echo()
    tell(f"In {seconds} s.")
