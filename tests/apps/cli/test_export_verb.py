"""`ahl export`, and what `ahl info` says of its files."""

import functools
import json

import pytest

from ahl.apps import export as exporting
from ahl.apps.export.onnx_model import ScoringGraph
from ahl.model.trained import TrainedModel
from commands import run


def test_an_export_says_what_was_compared(model, tmp_path, monkeypatch):
    trace = exporting.onnx_model
    once = functools.cache(lambda: trace(ScoringGraph(TrainedModel.load(model))))
    monkeypatch.setattr(exporting, "onnx_model", lambda _: once())  # tracing takes the time
    output = tmp_path / "parts.onnx"
    shown = run("export", model, "--output", output).output
    assert "largest differences" in shown
    assert "score" in shown
    told = json.loads(run("export", model, "-o", output, "--json").stdout)
    assert told["bytes"] == output.stat().st_size
    assert max(told["parity"]["differences"].values()) <= 1e-4
    assert told["parity"]["labelled"] == 0
    assert list(tmp_path.iterdir()) == [output]


def test_eight_bits_without_data_are_refused_before_any_work(model, tmp_path):
    assert "--data" in run("export", model, "--int8", "-o", tmp_path / "x", code=1).output
    assert not list(tmp_path.iterdir())


def test_an_output_that_cannot_be_written_is_said_at_once(model, tmp_path):
    found = run("export", model, "-o", tmp_path, code=1)
    assert "is a folder" in found.output


def test_no_export_replaces_a_model_file(model):
    before = model.read_bytes()
    found = run("export", model, "-o", model, code=2)
    assert "is a model file" in found.output
    assert model.read_bytes() == before


@pytest.mark.parametrize("verb", ["adapt", "evaluate", "export", "report", "threshold", "update"])
def test_verbs_that_want_a_model_file_say_so_of_an_exported_one(verb, tmp_path):
    exported = tmp_path / "parts.onnx"
    exported.write_bytes(b"\x08\x0a" + bytes(20))
    assert "is an exported model" in run(verb, exported, code=2).output
