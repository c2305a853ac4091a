"""`ahl demo`."""

from __future__ import annotations

from pathlib import Path

import click

from ahl.apps.cli.common import (
    errors_as_messages,
    json_option,
    own_name,
    print_json,
    seed_option,
    stderr_console,
    threads_option,
    use_threads,
)


@click.command()
@click.option(
    "--output",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    default="demo",
    show_default=True,
    help="Folder for images, model and picture.",
)
@seed_option
@threads_option
@json_option
@errors_as_messages
def demo(output: Path, seed: int, threads: int | None, as_json: bool) -> None:
    """Draw inspection images, train on them, evaluate, and leave a picture.

    Everything is made here: nothing is downloaded. Two kinds of defect are shown in training;
    four more appear only in the test.
    """
    from ahl.apps.cli.evaluate import as_values, show
    from ahl.apps.cli.progress import ConsoleCallback
    from ahl.apps.demo.drawing import draw_dataset
    from ahl.apps.report.picture import draw_picture
    from ahl.config import DEFAULT_BACKBONE
    from ahl.data import draw_split, open_dataset
    from ahl.estimator import AHL
    from ahl.scoring.evaluation import evaluate

    use_threads(threads)
    images, model, picture = output / "images", output / "model.ahl", output / "report.png"
    with ConsoleCallback(stderr_console(quiet=as_json)) as callback:
        callback.on_note(f"Drawing inspection images into {images} ...")
        draw_dataset(images, seed=seed)
        detector = AHL(seed=seed, callback=callback, cache=output / "features")
        split = draw_split(open_dataset(images / "train"), anomalies=None)
        detector.fit_split(split)
        detector.save(model)
        result = evaluate(
            detector.scorer,
            open_dataset(images / "test"),
            progress=lambda done, total: callback.on_stage("scoring the test", done, total),
        )
    counts = len(split.normals), len(split.anomalies)
    draw_picture(
        result.scored,
        picture,
        title="Drawn front panels: defects seen in training, and kinds never seen",
        subtitle=f"AHL(DRA) trained on {counts[0]} good parts and {counts[1]} defects; "
        f"{DEFAULT_BACKBONE}, nothing downloaded",
    )
    if as_json:
        print_json({**as_values(result), "model": str(model), "picture": str(picture)})
        return
    show(result)
    click.echo(f"Look at {picture}; the images are in {images}.")
    click.echo(f"Next: {own_name()} predict {model} {images / 'test' / 'crack'}")
