"""The options that say where a training run is logged, for every verb that trains."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ahl.apps.cli.common import Verb, add_options

if TYPE_CHECKING:
    from ahl._common.callbacks import Callback

_OPTIONS = (
    click.option(
        "--log",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Append JSON lines about the run to a file, as it goes (docs/logs.md).",
    ),
    click.option(
        "--tensorboard",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder for TensorBoard's curves of this run.",
    ),
    click.option(
        "--mlflow",
        metavar="URI",
        help="MLflow store, such as sqlite:///runs.db or http://host:5000.",
    ),
)


def log_options(verb: Verb) -> Verb:
    """Add --log, --tensorboard and --mlflow."""
    return add_options(verb, _OPTIONS)


def with_logs(
    watcher: Callback, *, log: Path | None, tensorboard: Path | None, mlflow: str | None
) -> Callback:
    """The watcher, and with it the logs that were asked for.

    Raises:
        ConfigurationError: if one of them cannot be written.
    """
    from ahl.apps.logs import Broadcast, JsonLinesLog, MLflowLog, TensorBoardLog

    logs: dict[str, Callback] = {}
    if log is not None:
        logs[f"--log {log}"] = JsonLinesLog(log)
    if tensorboard is not None:
        logs[f"--tensorboard {tensorboard}"] = TensorBoardLog(tensorboard)
    if mlflow is not None:
        logs[f"--mlflow {mlflow}"] = MLflowLog(mlflow)
    return Broadcast(watcher, logs) if logs else watcher
