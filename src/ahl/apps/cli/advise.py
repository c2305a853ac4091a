"""`ahl advise`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from ahl.apps.cli.backbone_options import backbone_options, parse_arguments, parse_stages
from ahl.apps.cli.common import (
    cache_option,
    chosen_cache,
    device_option,
    errors_as_messages,
    json_option,
    no_cache_option,
    print_json,
    seed_option,
    stderr_console,
    threads_option,
    use_threads,
)


@click.command()
@click.argument("data", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--base",
    type=click.Choice(["devnet", "dra"]),
    default="devnet",
    show_default=True,
    help="Base detector that stands in for the full training; dra takes several times as long.",
)
@backbone_options
@click.option(
    "--quick",
    is_flag=True,
    help="Judge each image once, measure the end of the learning curve only, no larger size.",
)
@seed_option
@device_option
@threads_option
@cache_option
@no_cache_option
@json_option
@errors_as_messages
def advise(
    data: Path,
    base: str,
    backbone: str,
    weights: Path | None,
    backbone_args: tuple[str, ...],
    stages: str | None,
    image_size: str | None,
    tiles: int | None,
    quick: bool,
    seed: int,
    device: str,
    threads: int | None,
    cache: Path | None,
    no_cache: bool,
    as_json: bool,
) -> None:
    """Look over the labelled images in DATA before, or after, training on them.

    DATA is laid out as for `ahl train`. Do the labels beat good images alone, would more of them
    help, is a new kind of defect found, which images look mislabelled, which are there twice
    (worst: once as good and once as a defect), and is the image size enough? Each answer comes
    with its figures, measured on images that the detectors behind them left out, and is "cannot
    tell" where so few images do not tell. Nothing is changed and no model is written.
    """
    from ahl.apps.advise import advise as look_over
    from ahl.apps.advise import sections
    from ahl.apps.cli.progress import ConsoleCallback
    from ahl.config import preset

    features = chosen_cache(cache, no_cache)
    use_threads(threads)
    started = time.monotonic()
    with ConsoleCallback(stderr_console(quiet=as_json)) as callback:
        advice = look_over(
            data,
            base=base,
            backbone=backbone,
            weights=weights,
            backbone_arguments=parse_arguments(backbone_args),
            stages=parse_stages(stages),
            config=preset("default", image_size=image_size, tiles=tiles),
            quick=quick,
            seed=seed,
            device=device,
            cache=features,
            callback=callback,
        )
    seconds = round(time.monotonic() - started, 1)
    answers = sections(advice)
    if as_json:
        said = [{"title": one.title, "lines": list(one.lines)} for one in answers]
        print_json({**advice.to_dict(), "sections": said, "seconds": seconds})
        return
    for answer in answers:
        click.echo(click.style(answer.title, bold=True))
        for line in answer.lines:
            click.echo(f"  {line}")
        click.echo()
    click.echo(f"In {seconds} s.")
