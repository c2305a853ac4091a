"""`ahl export`, and what `ahl info` says of its files."""

import json

import pytest

from commands import run


def test_an_export_says_what_was_compared(model, tmp_path):
    output = tmp_path / "parts.onnx"
    shown = run("export", model, "--output", output).output
    assert "largest differences" in shown
    assert "score" in shown
    told = json.loads(run("export", model, "-o", output, "--json").stdout)
    assert told["bytes"] == output.stat().st_size
    assert max(told["parity"]["differences"].values()) <= 1e-4
    assert told["parity"]["labelled"] == 0
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.parametrize(
    ("options", "expected", "code"),
    [
        (("--int8",), "--data", 1),
        (("--format", "onnx"), "Leave the option out", 2),
    ],
)
def test_what_cannot_be_is_said_before_any_work(model, tmp_path, options, expected, code):
    assert expected in run("export", model, *options, "-o", tmp_path / "x", code=code).output
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
