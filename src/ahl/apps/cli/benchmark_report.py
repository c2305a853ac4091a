"""`ahl benchmark report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ahl.apps.cli.common import errors_as_messages, print_json
from ahl.apps.cli.groups import json_option

if TYPE_CHECKING:
    from ahl.benchmark.report import Report


@click.command()
@click.argument("results", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--output",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write to [default: DIR].",
)
@json_option
@errors_as_messages
def report(results: Path, output: Path | None, as_json: bool) -> None:
    """Write tables and plots of the results in DIR.

    Writes report.md, results.csv, table.tex (booktabs) and report.html, one page that needs no
    network. The paper's figures stand beside ours, and it says where AHL does not win.
    """
    from ahl.benchmark.report import write_report

    written = write_report(results, output)
    if as_json:
        print_json(as_values(written))
        return
    for sentence in written.verdicts:
        click.echo(f"- {sentence}")
    for path in written.paths:
        click.echo(str(path))


def as_values(written: Report) -> dict[str, Any]:
    """The report as JSON values."""
    summary = written.summary
    return {
        "files": [str(path) for path in written.paths],
        "cells": len(summary.records),
        "verdicts": list(written.verdicts),
        "figures": [
            {
                "dataset": column.dataset,
                "setting": column.setting,
                "anomalies": column.anomalies,
                "method": entrant.shown,
                "specification": entrant.spec,
                "auroc": entry.figure.mean,
                "deviation": entry.figure.deviation,
                "low": entry.figure.low,
                "high": entry.figure.high,
                "seeds": entry.figure.seeds,
                "cells": entry.figure.cells,
                "missing_cells": entry.missing,
                **entry.figure.others,
                "seconds": entry.figure.seconds,
                "peak_mebibytes": entry.peak_mebibytes,
                "paper": None if entry.paper is None else entry.paper[0],
            }
            for column in summary.columns
            for entrant, entry in summary.of(column).items()
        ],
    }
