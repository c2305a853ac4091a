"""Logs of a run, as people ask for them."""

import json
import sys

import pytest

from ahl.apps.cli import main
from ahl.apps.logs import JsonLinesLog
from commands import run, train_options


def events(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_training_and_adapting_are_logged_one_behind_the_other(inspection_folder, tmp_path):
    log, model = tmp_path / "run.jsonl", tmp_path / "m.ahl"
    options = ("--log", log, *train_options(tmp_path))
    run("train", inspection_folder, "-o", model, *options)
    told = events(log)
    first = told[0]
    assert (first["verb"], first["data"], first["model"]) == (
        "train",
        str(inspection_folder),
        str(model),
    )
    assert first["backbone"]["name"] == "resnet18"
    epochs = [line for line in told if line["event"] == "epoch"]
    records = json.loads(run("info", model, "--json").stdout)["history"]
    for line, record in zip(epochs, records, strict=True):
        assert {key: line[key] for key in record} == record
    assert told[-2] | {"time": 0} == {"event": "saved", "time": 0, "model": str(model)}
    assert told[-1]["event"] == "end"
    assert {line["part"] for line in told if line["event"] == "part"} >= {"images", "calibration"}

    good = inspection_folder / "good"
    run("adapt", model, good, "-o", tmp_path / "n.ahl", "--epochs", 1, "--log", log)
    added = events(log)[len(told) :]
    assert (added[0]["verb"], added[0]["from"], added[0]["epochs"]) == ("adapt", str(model), 1)
    assert [line["epochs"] for line in added if line["event"] == "epoch"] == [1]
    assert added[-1]["event"] == "end"


def test_a_run_without_data_is_logged_as_failed(tmp_path):
    log = tmp_path / "run.jsonl"
    result = run("train", tmp_path / "none", "-o", tmp_path / "m.ahl", "--log", log, code=1)
    last = events(log)[-1]
    assert last["event"] == "failed"
    assert f"ahl: {last['message']}" in result.output


def test_a_log_that_fails_does_not_stop_the_training(inspection_folder, tmp_path, monkeypatch):
    def full(self, record, epochs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(JsonLinesLog, "on_epoch", full)
    log, model = tmp_path / "run.jsonl", tmp_path / "m.ahl"
    options = ("--log", log, *train_options(tmp_path))
    result = run("train", inspection_folder, "-o", model, *options)
    assert model.exists()
    assert result.stderr.count("the run continues without it: No space") == 1
    assert events(log)[-1]["event"] == "part"


@pytest.mark.parametrize(
    ("option", "says"),
    [
        (("--log", "{tmp}/other.txt"), "not a log of ahl"),
        (("--log", "{tmp}/other.txt/run.jsonl"), "other.txt"),
        (("--tensorboard", "{tmp}/runs"), 'pip install "ahl[tensorboard]"'),
        (("--mlflow", "runs.db"), "sqlite:///runs.db"),
        (("--mlflow", "sqlite:///runs.db"), 'pip install "ahl[mlflow]"'),
    ],
)
def test_logs_that_cannot_be_had_are_told_before_the_work(tmp_path, monkeypatch, option, says):
    for package in ("mlflow", "torch.utils.tensorboard"):
        monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / "other.txt").write_text("mine\n")
    option = [text.format(tmp=tmp_path) for text in option]
    result = run("train", tmp_path, "-o", tmp_path / "m.ahl", *option, code=result_code(option))
    assert says in result.output
    assert len(result.output.strip().splitlines()) == 1
    assert (tmp_path / "other.txt").read_text() == "mine\n"


def result_code(option):
    """Wrong usage, but for a place that the system refuses."""
    return 1 if option[1].endswith("other.txt/run.jsonl") else 2


def test_every_verb_that_trains_has_the_same_options():
    train, adapt = (
        {
            parameter.name: parameter.help
            for parameter in main.commands[verb].params
            if isinstance(getattr(parameter, "help", None), str)
        }
        for verb in ("train", "adapt")
    )
    for name in ("log", "tensorboard", "mlflow"):
        assert train[name] == adapt[name]
