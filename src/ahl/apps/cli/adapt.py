"""`ahl adapt`."""

from __future__ import annotations

from pathlib import Path

import click

from ahl._common.text import counted
from ahl.apps.cli.common import (
    check_writable,
    images_of,
    own_name,
    print_json,
    skipped_values,
    stderr_console,
    suggest,
    tell,
)
from ahl.apps.cli.groups import Caching, Computing, Logging, json_flag, output_model, trained_model
from ahl.apps.cli.options import POSITIVE, option, options, takes


@options
class AdaptOptions:
    """The options of `ahl adapt`."""

    output: Path = output_model("Adapted model file to write.")
    epochs: int = option("Epochs.", default=10, type=POSITIVE)
    strict: bool = option("Stop at the first unreadable image.", default=False)
    computing: Computing
    caching: Caching
    logging: Logging
    as_json: bool = json_flag()


@click.command()
@trained_model
@click.argument("normals", nargs=-1, required=True, metavar="NORMALS...")
@takes(AdaptOptions)
def adapt(model: Path, normals: tuple[str, ...], options: AdaptOptions) -> None:
    """Adapt MODEL to another product, from good images of it alone.

    NORMALS are files, folders or globs of good images of the new product. The model is trained a
    little longer, on these images and on pseudo anomalies made of them; it starts from what it
    learned from labelled defects of the old product.
    """
    from ahl.apps.cli.progress import ConsoleCallback
    from ahl.data import refuse_labelled
    from ahl.estimator import AHL
    from ahl.pipeline.settings import RunSettings

    output, epochs = options.output, options.epochs
    check_writable(output)
    options.computing.begin()
    with ConsoleCallback(stderr_console(quiet=options.as_json)) as console:
        callback = options.logging.beside(console)
        run = RunSettings(
            device=options.computing.device,
            cache=options.caching.place,
            strict=options.strict,
            callback=callback,
        )
        detector = AHL.load(model, run=run)
        facts = {"verb": "adapt", "data": list(normals), "from": str(model), "model": str(output)}
        with callback.run(facts | detector.facts | {"epochs": epochs}):
            refuse_labelled(normals)
            paths, decision = images_of(normals, callback.on_note), detector.model_.decision
            detector.adapt(paths, epochs=epochs).save(output)
    used = len(paths) - len(console.skipped)
    if options.as_json:
        print_json(
            {
                "model": str(output),
                "normals": used,
                "skipped": skipped_values(console.skipped),
                "notes": console.notes,
                "threshold_dropped": decision is not None,
            }
        )
        return
    tell(f"Adapted to {counted(used, 'good image')}. Model: {output}")
    if decision is not None:
        tell(
            "The threshold was removed, because it was set for the old product. Set a new one on "
            f"good images other than these: {own_name()} threshold {output} GOOD_IMAGES... "
            f"--max-false-alarm-rate {decision.max_false_alarm_rate:g}"
        )
    suggest("predict", output, "FILE_OR_FOLDER...")
