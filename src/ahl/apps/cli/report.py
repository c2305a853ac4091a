"""`ahl report`."""

from __future__ import annotations

import datetime
import time
from dataclasses import asdict
from pathlib import Path

import click

from ahl._common.errors import ConfigurationError
from ahl._common.text import megabytes
from ahl.apps.cli.common import check_writable, print_json, stderr_console, tell
from ahl.apps.cli.evaluate import as_values
from ahl.apps.cli.groups import Caching, Computing, group_by_names, json_flag, trained_model
from ahl.apps.cli.labelled import Labels, labelled_data
from ahl.apps.cli.options import FILE, option, options, takes


@options
class ReportOptions:
    """The options of `ahl report`."""

    output: Path = option("HTML page to write.", "-o", default=Path("report.html"), type=FILE)
    labels: Labels
    group_by: str | None = group_by_names("as the model was trained")
    computing: Computing
    caching: Caching
    as_json: bool = json_flag()


@click.command()
@trained_model
@labelled_data
@takes(ReportOptions)
def report(model: Path, data: Path | None, options: ReportOptions) -> None:
    """Write a page on how good MODEL is, and where it fails.

    One self-contained HTML file: a summary in words, curves with intervals, scores class
    by class with the threshold of `ahl threshold`, the worst misses and false alarms with heat maps
    and reasons, how the model was trained and on what. DATA is laid out and tested as for `ahl
    evaluate`. The page contains images of DATA, visible to everyone who gets it.
    """
    from ahl.apps.cli.progress import ConsoleCallback
    from ahl.apps.report.html import write_report
    from ahl.estimator import AHL
    from ahl.pipeline.settings import RunSettings

    output = options.output
    if output.suffix.lower() not in (".html", ".htm"):
        raise ConfigurationError(
            f"--output is {output}; expected an HTML file such as {output.with_suffix('.html')}."
        )
    started, tested = time.perf_counter(), options.labels.again(data)
    check_writable(output)
    cache = options.caching.place
    options.computing.begin()
    dataset = options.labels.dataset(data, ["test"])
    detector = AHL.load(model, run=RunSettings(device=options.computing.device))
    with ConsoleCallback(stderr_console(quiet=options.as_json)) as callback:
        written = write_report(
            detector.scorer,
            dataset,
            output,
            made=f"{model.name} on {tested}, {datetime.date.today().isoformat()}",
            progress=callback.progress_of("scoring"),
            group_by=options.group_by,
            cache=cache,
            callback=callback,
        )
        for skipped in written.evaluation.skipped:
            callback.on_skipped(skipped)
    size, summary = output.stat().st_size, written.summary
    if options.as_json:
        seconds = round(time.perf_counter() - started, 1)
        page = {"report": str(output), "bytes": size, "seconds": seconds}
        print_json({**page, **asdict(summary), **as_values(written.evaluation)})
        return
    for sentence in (summary.headline, *summary.how_good, *summary.where_it_fails):
        tell(sentence)
    click.echo(f"Report: {output} ({megabytes(size)})")
