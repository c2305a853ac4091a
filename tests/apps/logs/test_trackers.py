"""A run in TensorBoard, its files read back; and in MLflow, by a stand-in for its client, and for
real where it is installed."""

import math
import sys
import types
from pathlib import Path

import pytest

from ahl._common.errors import ConfigurationError
from ahl._common.history import EpochRecord
from ahl._common.types import Skipped
from ahl.apps.logs import MLflowLog, TensorBoardLog
from ahl.apps.logs.trackers import SETTINGS, flattened


def record(epoch, loss):
    return EpochRecord(
        epoch=epoch,
        support_losses=(loss, loss + 2),
        query_losses=(3.0, math.nan),
        importance=(1, 0),
    )


def scalars(folder):
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = reading.EventAccumulator(str(folder))
    found.Reload()
    return {
        tag: [(event.step, event.value) for event in found.Scalars(tag)]
        for tag in found.Tags()["scalars"]
    }


def test_curves_are_there_before_the_run_is_over(tmp_path):
    pytest.importorskip("tensorboard")
    log = TensorBoardLog(tmp_path / "runs" / "a")
    log.on_start({"seed": 0, "config": {"learning": {"epochs": 2}}})
    log.on_epoch(record(1, 1.0), 2)
    found = scalars(tmp_path / "runs" / "a")
    assert found["support_loss/mean"] == [(1, 2.0)]
    assert found["support_loss/base_model_2"] == [(1, 3.0)]
    assert found["importance/base_model_1"] == [(1, 1.0)]
    assert math.isnan(found["query_loss/base_model_2"][0][1])
    log.on_end(None)


def test_a_run_replaces_the_curves_of_the_one_before(tmp_path):
    pytest.importorskip("tensorboard")
    log = TensorBoardLog(tmp_path)
    with log.run({}):
        for epoch in (1, 2, 3):
            log.on_epoch(record(epoch, 1.0), 3)
    log.on_start({})
    log.on_resumed([record(1, 5.0)], 3)
    log.on_epoch(record(2, 6.0), 3)
    log.on_end(KeyboardInterrupt())
    assert scalars(tmp_path)["support_loss/base_model_1"] == [(1, 5.0), (2, 6.0)]


def test_a_file_is_no_folder(tmp_path):
    pytest.importorskip("tensorboard")
    (tmp_path / "a").write_text("")
    with pytest.raises(ConfigurationError, match="a is a file"):
        TensorBoardLog(tmp_path / "a")


def test_without_tensorboard_one_sentence_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigurationError, match=r'pip install "ahl\[tensorboard\]"'):
        TensorBoardLog(tmp_path)


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


def test_without_mlflow_one_sentence_says_how_to_get_it(monkeypatch):
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
