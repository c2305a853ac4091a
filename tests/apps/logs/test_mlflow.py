"""A run in MLflow: by a stand-in for its client, and for real where it is installed."""

import sys
import types
from pathlib import Path

import pytest

from ahl._common.errors import ConfigurationError
from ahl._common.history import EpochRecord
from ahl._common.types import Skipped
from ahl.apps.logs import MLflowLog
from ahl.apps.logs.mlflow import SETTINGS, flattened

RECORD = EpochRecord(
    epoch=2, support_losses=(1.0, 3.0), query_losses=(4.0, 6.0), importance=(0.25, 0.75)
)
FACTS = {"model": "out/parts.ahl", "seed": 7, "config": {"learning": {"epochs": 3}}}


class Client:
    """Remembers what the real one would be asked."""

    def __init__(self, tracking_uri):
        self.params, self.metrics, self.calls = {}, {}, []

    def get_experiment_by_name(self, name):
        return None

    def create_experiment(self, name, artifact_location):
        self.calls.append(("experiment", name, artifact_location))
        return "1"

    def create_run(self, experiment, run_name):
        self.calls.append(("run", experiment, run_name))
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id="r"))

    def log_batch(self, run, metrics=(), params=()):
        assert len(params) <= 100
        self.params |= dict(params)
        self.metrics |= {(name, step): value for name, value, _, step in metrics}

    def log_artifact(self, run, path):
        self.calls.append(("artifact", path))

    def set_tag(self, run, name, value):
        self.calls.append((name, value))

    def set_terminated(self, run, status):
        self.calls.append(("status", status))


@pytest.fixture
def stand_in(monkeypatch):
    entities = types.SimpleNamespace(Param=lambda *v: v, Metric=lambda *v: v)
    module = types.SimpleNamespace(MlflowClient=Client, entities=entities)
    monkeypatch.setitem(sys.modules, "mlflow", module)
    for name in SETTINGS:
        monkeypatch.setenv(name, "1")


def test_a_run_is_told_whole(stand_in, tmp_path):
    log = MLflowLog(f"sqlite:///{tmp_path}/runs.db")
    with log.run({**FACTS, "many": {str(i): i for i in range(150)}, "long": "x" * 9000}):
        log.on_epoch(RECORD, 3)
        log.on_skipped(Skipped(name="a.png", reason="empty"))
        for seconds in (1.0, 2.0):
            log.on_time(("images", "decoding"), seconds)
        log.on_saved(Path("out/parts.ahl"))
    client = log._client
    assert client.params["config.learning.epochs"] == "3"
    assert len(client.params) == 154
    assert len(client.params["long"]) == 500
    assert client.metrics[("support_loss/mean", 2)] == 2.0
    assert client.metrics[("query_loss/base_model_2", 2)] == 6.0
    assert client.metrics[("importance/base_model_2", 2)] == 0.75
    assert client.metrics[("seconds/images/decoding", 0)] == 3.0
    assert client.metrics[("skipped_images", 0)] == 1.0
    assert client.calls == [
        ("experiment", "ahl", str(tmp_path.resolve() / "mlartifacts")),
        ("run", "1", "parts"),
        ("artifact", "out/parts.ahl"),
        ("status", "FINISHED"),
    ]


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("no"), "FAILED"), (KeyboardInterrupt(), "KILLED")]
)
def test_how_a_run_failed_is_told(stand_in, error, status):
    log = MLflowLog("http://host:5000")
    log.on_start(FACTS)
    log.on_resumed([RECORD], 3)
    log.on_end(error)
    assert log._client.metrics[("support_loss/mean", 2)] == 2.0
    assert log._client.calls[0] == ("experiment", "ahl", None)
    assert log._client.calls[-2:] == [
        ("error", f"{type(error).__name__}: {error}"),
        ("status", status),
    ]


def test_facts_become_parameters_by_the_way_to_them():
    assert flattened({"a": {"b": {"c": 1}, "d": []}, "e": None}) == {
        "a.b.c": 1,
        "a.d": [],
        "e": None,
    }


@pytest.mark.parametrize("uri", ["runs.db", "file:///runs", "mlruns/"])
def test_stores_that_mlflow_no_longer_knows_are_refused(uri):
    with pytest.raises(ConfigurationError, match="such as sqlite:///"):
        MLflowLog(uri)


def test_without_the_package_one_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ConfigurationError, match=r'pip install "ahl\[mlflow\]"'):
        MLflowLog("sqlite:///runs.db")


@pytest.mark.filterwarnings("ignore")  # of the many packages below MLflow
def test_a_real_store_gives_back_what_it_was_told(tmp_path):
    client = pytest.importorskip("mlflow", exc_type=ImportError).MlflowClient
    uri = f"sqlite:///{tmp_path}/runs.db"
    model = tmp_path / "parts.ahl"
    model.write_bytes(b"weights")
    log = MLflowLog(uri)
    with log.run(FACTS):
        log.on_epoch(RECORD, 3)
        log.on_saved(model)
    store = client(tracking_uri=uri)
    (run,) = store.search_runs([store.get_experiment_by_name("ahl").experiment_id])
    assert (run.info.run_name, run.info.status) == ("parts", "FINISHED")
    assert run.data.params["config.learning.epochs"] == "3"
    (point,) = store.get_metric_history(run.info.run_id, "importance/base_model_2")
    assert (point.step, point.value) == (2, 0.75)
    assert [one.path for one in store.list_artifacts(run.info.run_id)] == ["parts.ahl"]
    assert next((tmp_path / "mlartifacts").rglob("parts.ahl")).read_bytes() == b"weights"
    with pytest.raises(ConfigurationError, match="cannot use nosuch://x"):
        MLflowLog("nosuch://x")
