"""`ahl predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ahl.cli.common import (
    SKIPPED,
    USAGE,
    device_option,
    errors_as_messages,
    existing_model,
    json_option,
    print_json,
    stderr_console,
    threads_option,
    use_threads,
)
from ahl.errors import DataError

if TYPE_CHECKING:
    from ahl.scoring import Prediction


@click.command()
@existing_model
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@device_option
@threads_option
@json_option
@errors_as_messages
def predict(
    model: Path, paths: tuple[str, ...], device: str, threads: int | None, as_json: bool
) -> None:
    """Score images with a trained MODEL.

    Each PATH is a file, a folder (searched through) or a glob such as 'parts/**/*.png'. The
    score is higher for more anomalous images and has no fixed range: compare scores of one
    model with each other. Where `ahl threshold` has set a threshold, each image is called normal or
    anomalous, with a question mark where too few good images are known to be sure of it.

    With --json, one object a line: path, score, heads (each head's own score, higher = more
    anomalous) and evidence (what each head, and the memory of normals, adds to the score), or path
    and error; with a threshold also anomalous (the score lies above it) and verdict (uncertain
    where a question mark stands otherwise). A bad file never stops the rest.

    \b
    Exit status: 0 all read, 2 wrong usage, 3 some skipped.
    """
    from ahl.detector import AHL
    from ahl.images import expand_paths

    try:
        images = expand_paths(paths)
    except DataError as error:
        click.echo(f"ahl: {error}", err=True)
        raise SystemExit(USAGE) from None
    use_threads(threads)
    detector = AHL.load(model, device=device)
    decision = detector.model.decision
    skipped = 0
    if not as_json:
        click.echo(f"{'score':>10}  {'verdict     ' if decision else ''}path")
    for prediction in detector.predict(images):
        path = str(images[prediction.index])
        if prediction.score is None:
            skipped += 1
            if as_json:
                print_json({"path": path, "error": prediction.error})
            else:
                click.echo(f"{'skipped':>10}  {path}: {prediction.error}")
        elif as_json:
            told: dict[str, object] = {"path": path, "score": prediction.score}
            if decision is not None:
                told |= {"anomalous": prediction.anomalous, "verdict": prediction.verdict}
            told["heads"] = dict(prediction.heads)
            if prediction.evidence:
                told["evidence"] = dict(prediction.evidence)
            print_json(told)
        else:
            verdict = f"{_word(prediction):<12}" if decision else ""
            click.echo(f"{prediction.score:>10.4f}  {verdict}{path}")
    if skipped:
        if not as_json:
            stderr_console().print(f"{skipped} of {len(images)} images could not be read.")
        raise SystemExit(SKIPPED)


def _word(prediction: Prediction) -> str:
    side = "anomalous" if prediction.anomalous else "normal"
    return side if prediction.verdict == side else f"{side}?"
