"""A training run in MLflow: parameters, curves, the model file."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ahl._common.callbacks import Callback
from ahl._common.errors import ConfigurationError
from ahl._common.history import EpochRecord
from ahl._common.types import Skipped
from ahl.apps.logs._curves import curve_points
from ahl.apps.logs._messages import not_installed, reason_of

EXPERIMENT = "ahl"
"""Where runs go unless $MLFLOW_EXPERIMENT_NAME names another experiment."""

LONGEST_PARAMETER = 500
PARAMETERS_AT_ONCE = 100
"""Limits of MLflow's servers."""

SETTINGS = {
    # A server that is gone shall not hold up the training for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    # Standard output is for results, and nobody asked for a word to MLflow's makers.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""Settings of MLflow, unless the environment has its own."""


class MLflowLog(Callback):
    """Tells a tracking store about a run: the facts as parameters, losses and importance scores.

    Args:
        uri: `sqlite:///FILE`, or a server's address. With a file, the model files that are kept
            as artifacts lie beside it.

    Raises:
        ConfigurationError: if MLflow is not installed, or the store cannot be had.
    """

    def __init__(self, uri: str) -> None:
        if uri != "databricks" and (":/" not in uri or uri.startswith("file:")):
            raise ConfigurationError(
                f"MLflow's store is {uri!r}; it must be such as sqlite:///runs.db or "
                "http://host:5000."
            )
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        try:
            from mlflow import MlflowClient
        except ImportError:
            raise not_installed("MLflow", "mlflow") from None
        for noisy in ("alembic", "mlflow.store.db.utils"):  # tables made, on standard error
            logging.getLogger(noisy).setLevel(logging.WARNING)
        try:
            self._client: Any = MlflowClient(tracking_uri=uri)
            self._experiment = _experiment(self._client, uri)
        except Exception as error:  # of the store's own library, whatever it is
            raise ConfigurationError(f"MLflow cannot use {uri}: {reason_of(error)}") from error
        self._run: str | None = None
        self._skipped = 0
        self._times: dict[str, float] = {}

    def on_start(self, facts: Mapping[str, Any]) -> None:
        """Begin a run, named after the model file."""
        self._skipped, self._times = 0, {}
        name = Path(str(facts.get("model", "ahl"))).stem
        self._run = self._client.create_run(self._experiment, run_name=name).info.run_id
        parameters = [
            _entity("Param", key, str(value)[:LONGEST_PARAMETER])
            for key, value in flattened(facts).items()
        ]
        for first in range(0, len(parameters), PARAMETERS_AT_ONCE):
            part = parameters[first : first + PARAMETERS_AT_ONCE]
            self._client.log_batch(self._run, params=part)

    def on_resumed(self, history: Sequence[EpochRecord], epochs: int) -> None:
        """Tell the epochs before, which this run's curves begin with."""
        for record in history:
            self.on_epoch(record, epochs)

    def on_epoch(self, record: EpochRecord, epochs: int) -> None:
        """Tell the losses and importance scores."""
        self._metrics(curve_points(record), record.epoch)

    def on_skipped(self, skipped: Skipped) -> None:
        """Count it."""
        self._skipped += 1

    def on_time(self, part: tuple[str, ...], seconds: float) -> None:
        """Add it up."""
        name = f"seconds/{'/'.join(part).replace(' ', '_')}"
        self._times[name] = self._times.get(name, 0.0) + seconds

    def on_saved(self, path: Path) -> None:
        """Keep the model file."""
        if self._run is not None:
            self._client.log_artifact(self._run, str(path))

    def on_end(self, error: BaseException | None) -> None:
        """Tell how it ended, and how long its parts took."""
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
        metrics = [_entity("Metric", name, value, now, step) for name, value in values.items()]
        self._client.log_batch(self._run, metrics=metrics)


def flattened(facts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by their names, joined by points."""
    found: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, Mapping):
            found |= flattened(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def _entity(kind: str, *values: object) -> Any:  # noqa: ANN401 - MLflow's own
    from mlflow import entities

    return getattr(entities, kind)(*values)


def _experiment(client: Any, uri: str) -> str:  # noqa: ANN401 - MLflow's own
    """Find the experiment, or make it."""
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
