"""A training run as curves in TensorBoard or MLflow."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ahl._common.callbacks import Callback
from ahl._common.errors import ConfigurationError
from ahl._common.history import EpochRecord
from ahl._common.text import first_line
from ahl._common.types import Skipped

EXPERIMENT = "ahl"
"""Experiment of all runs unless $MLFLOW_EXPERIMENT_NAME names another."""

LONGEST_PARAMETER = 500
PARAMETERS_AT_ONCE = 100
"""Limits of MLflow's servers."""

SETTINGS = {
    # A server that is gone shall not hold up the training for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    # Standard output is for results.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""Settings of MLflow, unless the environment has its own."""


class _Curves(Callback):
    def on_resumed(self, history: Sequence[EpochRecord], epochs: int) -> None:
        """Write the restored epochs, so that this run's curves begin with them."""
        for record in history:
            self.on_epoch(record, epochs)


class TensorBoardLog(_Curves):
    """Callback for TensorBoard: losses and importance scores by epoch, and the facts as text.

    Each run needs a folder of its own; one that starts in a folder with another run's curves
    replaces them.

    Args:
        folder: where the event files go; created when it is missing.

    Raises:
        ConfigurationError: if TensorBoard is not installed, or the folder is a file.
        OSError: if the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise _not_installed("TensorBoard", "tensorboard") from None
        if folder.exists() and not folder.is_dir():
            raise ConfigurationError(f"{folder} is a file; TensorBoard's events need a folder.")
        folder.mkdir(parents=True, exist_ok=True)
        self._make: Any = SummaryWriter
        self._folder = folder
        self._writer: Any = None

    def on_start(self, facts: Mapping[str, Any]) -> None:
        """Begin an event file."""
        # TensorBoard drops what earlier files of the folder say of this step and later ones.
        self._writer = self._make(str(self._folder), purge_step=0)
        text = json.dumps(facts, indent=1)
        self._writer.add_text("run", "\n".join(f"    {line}" for line in text.splitlines()), 0)
        self._writer.flush()

    def on_epoch(self, record: EpochRecord, epochs: int) -> None:
        """Write the losses and importance scores."""
        if self._writer is None:
            return
        for name, value in _curve_points(record).items():
            self._writer.add_scalar(name, value, record.epoch)
        self._writer.flush()

    def on_end(self, error: BaseException | None) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class MLflowLog(_Curves):
    """Callback for MLflow: the facts as parameters, losses and importance scores as metrics.

    Args:
        uri: `sqlite:///FILE`, or a server's address. With a file, the model files that are kept
            as artifacts lie beside it.

    Raises:
        ConfigurationError: if MLflow is not installed, or the store cannot be used.
    """

    def __init__(self, uri: str) -> None:
        if uri != "databricks" and (":/" not in uri or uri.startswith("file:")):
            raise ConfigurationError(
                f"--mlflow is {uri!r}; expected a store such as sqlite:///runs.db or "
                "http://host:5000."
            )
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        try:
            from mlflow import MlflowClient, entities
        except ImportError:
            raise _not_installed("MLflow", "mlflow") from None
        for noisy in ("alembic", "mlflow.store.db.utils"):  # tables made, on standard error
            logging.getLogger(noisy).setLevel(logging.WARNING)
        try:
            self._client: Any = MlflowClient(tracking_uri=uri)
            self._experiment = _experiment(self._client, uri)
        except Exception as error:  # of the store's own library, whatever it is
            raise ConfigurationError(f"MLflow cannot use {uri}: {first_line(error)}") from error
        self._entities: Any = entities
        self._run: str | None = None
        self._skipped = 0
        self._times: dict[str, float] = {}

    def on_start(self, facts: Mapping[str, Any]) -> None:
        """Begin a run, named after the model file."""
        self._skipped, self._times = 0, {}
        name = Path(str(facts.get("model", "ahl"))).stem
        self._run = self._client.create_run(self._experiment, run_name=name).info.run_id
        parameters = [
            self._entities.Param(key, str(value)[:LONGEST_PARAMETER])
            for key, value in flattened(facts).items()
        ]
        for first in range(0, len(parameters), PARAMETERS_AT_ONCE):
            part = parameters[first : first + PARAMETERS_AT_ONCE]
            self._client.log_batch(self._run, params=part)

    def on_epoch(self, record: EpochRecord, epochs: int) -> None:
        """Log the losses and importance scores."""
        self._metrics(_curve_points(record), record.epoch)

    def on_skipped(self, skipped: Skipped) -> None:
        """Count the skipped image."""
        self._skipped += 1

    def on_time(self, part: tuple[str, ...], seconds: float) -> None:
        """Add up the seconds of each part."""
        name = f"seconds/{'/'.join(part).replace(' ', '_')}"
        self._times[name] = self._times.get(name, 0.0) + seconds

    def on_saved(self, path: Path) -> None:
        """Log the model file as an artifact."""
        if self._run is not None:
            self._client.log_artifact(self._run, str(path))

    def on_end(self, error: BaseException | None) -> None:
        """Log the run's status, and the seconds of its parts."""
        if self._run is None:
            return
        self._metrics({**self._times, "skipped_images": float(self._skipped)}, 0)
        if error is not None:
            self._client.set_tag(self._run, "error", f"{type(error).__name__}: {error}")
        self._client.set_terminated(self._run, _status(error))

    def _metrics(self, values: Mapping[str, float], step: int) -> None:
        if self._run is None:
            return
        now = int(time.time() * 1000)
        metrics = [self._entities.Metric(*one, now, step) for one in values.items()]
        self._client.log_batch(self._run, metrics=metrics)


def flattened(facts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested values; their names are joined by dots."""
    found: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, Mapping):
            found |= flattened(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def _experiment(client: Any, uri: str) -> str:  # noqa: ANN401 - MLflow's own
    """The id of the experiment, which is made if it is missing."""
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    file = uri.removeprefix("sqlite:///")
    # Without a server MLflow would keep files below the folder that the command is called in.
    beside = None if file == uri else str(Path(file).resolve().parent / "mlartifacts")
    return str(client.create_experiment(name, artifact_location=beside))


def _status(error: BaseException | None) -> str:
    if error is None:
        return "FINISHED"
    return "FAILED" if isinstance(error, Exception) else "KILLED"


def _curve_points(record: EpochRecord) -> dict[str, float]:
    """The mean losses, and losses and importance score of each base model, counted from 1."""
    points = {f"{name}_loss/mean": mean for name, mean in record.mean_losses.items()}
    for name, values in (
        ("support_loss", record.support_losses),
        ("query_loss", record.query_losses),
        ("importance", record.importance),
    ):
        for number, value in enumerate(values, start=1):
            points[f"{name}/base_model_{number}"] = value
    return points


def _not_installed(package: str, extra: str) -> ConfigurationError:
    return ConfigurationError(
        f'{package} is not installed; run: pip install "ahl[{extra}]" (or: pip install {extra}).'
    )
