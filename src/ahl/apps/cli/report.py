"""`ahl report`."""

from __future__ import annotations

import datetime
import time
from dataclasses import asdict
from pathlib import Path

import click

from ahl._common.errors import ConfigurationError
from ahl.apps.cli.common import (
    check_writable,
    device_option,
    errors_as_messages,
    json_option,
    print_json,
    stderr_console,
    threads_option,
    trained_model,
    use_threads,
)


@click.command()
@trained_model
@click.argument("data", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--output",
    "-o",
    default="report.html",
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The page to write.",
)
@click.option(
    "--worst",
    type=click.IntRange(0, 12),
    default=6,
    show_default=True,
    help="How many of the worst misses, and of the worst false alarms, to show.",
)
@click.option("--title", help="Heading of the page [default: from the name of DATA].")
@device_option
@threads_option
@json_option
@errors_as_messages
def report(
    model: Path,
    data: Path,
    output: Path,
    worst: int,
    title: str | None,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Write a page on how good a MODEL is on the labelled images in DATA, and where it fails.

    One HTML file that needs nothing else: a summary in words, curves with intervals, scores class
    by class with the threshold of `ahl threshold`, the worst misses and false alarms with heat maps
    and reasons, how the model was trained and on what. DATA is laid out and tested as for `ahl
    evaluate`. The page shows images of DATA: whoever gets it sees them.
    """
    from ahl.apps.cli.evaluate import as_values
    from ahl.apps.cli.progress import ConsoleCallback
    from ahl.apps.report.html import write_report
    from ahl.data import open_dataset
    from ahl.estimator import AHL

    if output.suffix.lower() not in (".html", ".htm"):
        raise ConfigurationError(f"The report is HTML: call it {output.with_suffix('.html')}.")
    started = time.perf_counter()
    check_writable(output)
    use_threads(threads)
    dataset = open_dataset(data)
    detector = AHL.load(model, device=device)
    with ConsoleCallback(stderr_console(quiet=as_json)) as callback:
        written = write_report(
            detector.scorer,
            dataset,
            output,
            title=title,
            made=f"{model.name} on {data}, {datetime.date.today().isoformat()}",
            worst=worst,
            progress=lambda done, total: callback.on_stage("scoring", done, total),
        )
        for skipped in written.evaluation.skipped:
            callback.on_skipped(skipped)
    if as_json:
        print_json(
            {
                "report": str(output),
                "bytes": output.stat().st_size,
                "seconds": round(time.perf_counter() - started, 1),
                **asdict(written.summary),
                **as_values(written.evaluation),
            }
        )
        return
    summary = written.summary
    for sentence in (*summary.how_good, *summary.where_it_fails):
        click.echo(sentence)
    click.echo(f"Report: {output} ({output.stat().st_size / 1e6:.1f} MB)")
