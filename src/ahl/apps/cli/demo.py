"""`ahl demo`."""

from __future__ import annotations

from pathlib import Path

import click

from ahl.apps.cli.common import print_json, stderr_console, suggest, tell, use_threads
from ahl.apps.cli.evaluate import as_values, show
from ahl.apps.cli.groups import json_flag, seed_number, thread_count
from ahl.apps.cli.options import FOLDER, option, options, takes


@options
class DemoOptions:
    """The options of `ahl demo`."""

    output: Path = option(
        "Folder for images, model and report.", "-o", default=Path("demo"), type=FOLDER
    )
    seed: int = seed_number()
    threads: int | None = thread_count()
    as_json: bool = json_flag()


@click.command()
@takes(DemoOptions)
def demo(options: DemoOptions) -> None:
    """Draw inspection images, train on them and write a report.

    Nothing is downloaded. Two kinds of defect are trained on; four more appear only in the test.
    """
    from ahl.apps.cli.progress import ConsoleCallback
    from ahl.apps.demo.drawing import draw_dataset
    from ahl.apps.report.html import write_report
    from ahl.config import DEFAULT_BACKBONE
    from ahl.data import draw_split, open_dataset
    from ahl.estimator import AHL
    from ahl.pipeline.settings import RunSettings

    use_threads(options.threads)
    output = options.output
    images, model, page = output / "images", output / "model.ahl", output / "report.html"
    with ConsoleCallback(stderr_console(quiet=options.as_json)) as callback:
        callback.on_note(f"Drawing inspection images into {images} ...")
        draw_dataset(images, seed=options.seed)
        detector = AHL(
            seed=options.seed,
            run=RunSettings(callback=callback, cache=output / "features"),
        )
        split = draw_split(open_dataset(images / "train"), anomalies=None)
        detector.fit_split(split)
        detector.save(model)
        written = write_report(
            detector.scorer,
            open_dataset(images / "test"),
            page,
            title="Drawn front panels: defects seen in training, and kinds never seen",
            made=f"trained on {len(split.normals)} good parts and {len(split.anomalies)} defects; "
            f"{DEFAULT_BACKBONE}, nothing downloaded",
            progress=callback.progress_of("scoring the test"),
        )
    if options.as_json:
        files = {"model": str(model), "report": str(page)}
        print_json(as_values(written.evaluation) | files)
        return
    show(written.evaluation)
    tell(f"Open {page} in a browser; the images are in {images}.")
    suggest("predict", model, images / "test" / "crack")
