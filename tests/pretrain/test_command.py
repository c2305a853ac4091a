"""`python -m ahl.pretrain`, from nothing to weights."""

import json

import pytest
from click.testing import CliRunner
from safetensors.torch import load_file

from ahl.pretrain import filters, loop, shards
from ahl.pretrain.__main__ import main

FEW = ("--shards", "1", "--groups", "2", "--threads", "1")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Three groups a shard, drawn here: another process would know nothing of it."""
    monkeypatch.setattr(shards, "SHARD", 3)
    monkeypatch.setattr(loop, "KEEP_EVERY", 1)
    monkeypatch.setattr(filters, "PATCHES", 1000)

    def draw(folder, count, *, processes, progress):
        for shard in range(count):
            if not folder.has(shard):
                folder.draw(shard)
            progress(shard + 1, count)

    monkeypatch.setattr(shards, "draw_shards", draw)


def run(folder, *options, code=0):
    arguments = ["-o", folder / "out" / "w.safetensors", "--work", folder / "work", *options]
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def steps_of(folder):
    lines = (folder / "work" / "log.jsonl").read_text().splitlines()
    return [json.loads(line)["step"] for line in lines]


def test_a_run_leaves_weights_a_log_and_their_hash(tmp_path):
    result = run(tmp_path, *FEW, "--steps", 2)
    weights = load_file(tmp_path / "out" / "w.safetensors")
    assert all(str(tensor.dtype) == "torch.float16" for tensor in weights.values())
    assert "first.filters" in weights
    assert "SHA-256" in result.output
    assert steps_of(tmp_path) == [1, 2]


def test_a_finished_run_resumed_gives_the_same_weights(tmp_path):
    run(tmp_path, *FEW, "--steps", 2)
    first = (tmp_path / "out" / "w.safetensors").read_bytes()
    run(tmp_path, *FEW, "--steps", 2, "--resume")
    assert (tmp_path / "out" / "w.safetensors").read_bytes() == first
    assert steps_of(tmp_path) == [1, 2]


def test_other_options_are_refused_before_anything_is_drawn(tmp_path, monkeypatch):
    run(tmp_path, *FEW, "--steps", 1)
    monkeypatch.setattr(shards, "draw_shards", lambda *_, **__: pytest.fail("it draws"))
    result = run(tmp_path, *FEW, "--steps", 1, "--seed", 1, "--resume", code=1)
    assert "another" in result.output or "other" in result.output


def test_nothing_to_resume_is_said(tmp_path):
    result = run(tmp_path, *FEW, "--steps", 1, "--resume")
    assert "starting anew" in result.output.replace("\n", " ")


def test_impossible_options_are_one_line(tmp_path):
    result = run(tmp_path, *FEW, "--rate", 7, code=2)
    assert result.output.strip().splitlines()[-1].startswith("ahl: rate is 7.0")
