"""`ahl adapt`."""

from __future__ import annotations

from pathlib import Path

import click

from ahl.apps.cli.common import (
    cache_option,
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
from ahl.apps.cli.log_options import log_options, with_logs


@click.command()
@trained_model
@click.argument("normals", nargs=-1, required=True, metavar="NORMALS...")
@click.option(
    "--output",
    "-o",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The adapted model file to write.",
)
@click.option("--epochs", type=click.IntRange(min=1), default=10, show_default=True, help="Epochs.")
@click.option("--strict", is_flag=True, help="Stop at the first unreadable image.")
@device_option
@threads_option
@cache_option
@log_options
@json_option
@errors_as_messages
def adapt(
    model: Path,
    normals: tuple[str, ...],
    output: Path,
    epochs: int,
    strict: bool,
    device: str,
    threads: int | None,
    cache: Path | None,
    log: Path | None,
    tensorboard: Path | None,
    mlflow: str | None,
    as_json: bool,
) -> None:
    """Move a trained MODEL to another product with good images of it alone.

    NORMALS are files, folders or globs of good images of the new product. What the model learned
    from labelled defects of the old one is kept as far as a few short epochs on the new good
    images, and pseudo anomalies made of them, leave it.
    """
    from ahl.apps.cli.progress import ConsoleCallback
    from ahl.data import refuse_labelled
    from ahl.data.images.finding import expand_paths
    from ahl.estimator import AHL

    check_writable(output)
    use_threads(threads)
    with ConsoleCallback(stderr_console(quiet=as_json)) as console:
        callback = with_logs(console, log=log, tensorboard=tensorboard, mlflow=mlflow)
        detector = AHL.load(
            model, device=device, cache=cache or "auto", strict=strict, callback=callback
        )
        facts = {"verb": "adapt", "data": list(normals), "from": str(model), "model": str(output)}
        with callback.run(facts | detector.facts | {"epochs": epochs}):
            refuse_labelled(normals)
            paths, decision = expand_paths(normals), detector.model.decision
            detector.adapt(paths, epochs=epochs).save(output)
    used = len(paths) - len(console.skipped)
    if as_json:
        skipped = [{"path": one.name, "error": one.reason} for one in console.skipped]
        told = {"model": str(output), "normals": used, "skipped": skipped}
        print_json(told | {"threshold_dropped": decision is not None})
        return
    click.echo(f"Adapted to {counted(used, 'good image')}. Model: {output}")
    if decision is not None:
        click.echo(
            "The threshold of the old model is gone: it was set for the old product. Set it anew, "
            f"on good images that are not among these: {own_name()} threshold {output} "
            f"GOOD_IMAGES... --max-false-alarm-rate {decision.max_false_alarm_rate:g}"
        )
    click.echo(f"Next: {own_name()} predict {output} FILE_OR_FOLDER...")
