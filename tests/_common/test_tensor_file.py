"""Checkpoints as files, and how a run knows its own."""

import json

import pytest
import torch

from ahl._common import tensor_file
from ahl._common.errors import ResumeError
from ahl._common.tensor_file import (
    read_checkpoint,
    run_fingerprint,
    write_checkpoint,
    write_tensor_file,
)

VALUES = {"seed": 3, "config": {"rate": 0.5, "epochs": [1, 2]}, "images": ["a", "b"]}
GROUPS = {
    "unified": {"weight": torch.arange(6.0).reshape(2, 3), "step": torch.tensor(4)},
    "history": {"0": torch.tensor([0.5, float("inf")])},
}


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "run.checkpoint"
    write_checkpoint(path, "mine", {"epoch": 5}, GROUPS)
    return path


# --- fingerprints ----------------------------------------------------------------------------


def test_equal_values_have_one_fingerprint_in_any_order():
    again = json.loads(json.dumps(dict(reversed(VALUES.items()))))
    assert run_fingerprint(again) == run_fingerprint(VALUES)


@pytest.mark.parametrize(
    "changed",
    [
        {**VALUES, "seed": 4},
        {**VALUES, "seed": "3"},
        {**VALUES, "config": {"rate": 0.5, "epochs": [2, 1]}},
        {**VALUES, "images": ["b", "a"]},
        {**VALUES, "images": ["a"]},
        {**VALUES, "further": None},
        {"seed": 3},
        {},
    ],
    ids=str,
)
def test_other_values_have_another_fingerprint(changed):
    assert run_fingerprint(changed) != run_fingerprint(VALUES)


def test_other_versions_have_another_fingerprint(monkeypatch):
    found = {run_fingerprint(VALUES)}
    with monkeypatch.context() as patch:
        patch.setattr(tensor_file, "__version__", "0.0.0")
        found.add(run_fingerprint(VALUES))
    with monkeypatch.context() as patch:
        patch.setattr(torch, "__version__", "0.0.0")
        found.add(run_fingerprint(VALUES))
    assert len(found) == 3


# --- checkpoints -----------------------------------------------------------------------------


def test_what_was_written_is_read_back(checkpoint):
    header, groups = read_checkpoint(checkpoint, "mine")
    assert header["epoch"] == 5
    assert groups.keys() == GROUPS.keys()
    for name, group in GROUPS.items():
        assert groups[name].keys() == group.keys()
        for key, tensor in group.items():
            assert torch.equal(groups[name][key], tensor)
            assert groups[name][key].dtype == tensor.dtype


def test_tensors_in_training_are_written_by_value(tmp_path):
    weight = torch.ones(3, requires_grad=True)
    write_checkpoint(tmp_path / "c", "mine", {}, {"g": {"w": 2 * weight}})
    _, groups = read_checkpoint(tmp_path / "c", "mine")
    assert torch.equal(groups["g"]["w"], torch.full((3,), 2.0))
    assert not groups["g"]["w"].requires_grad


def test_a_checkpoint_replaces_the_one_before(checkpoint):
    write_checkpoint(checkpoint, "mine", {"epoch": 6}, {"other": {"x": torch.zeros(1)}})
    header, groups = read_checkpoint(checkpoint, "mine")
    assert header["epoch"] == 6
    assert groups.keys() == {"other"}
    assert list(checkpoint.parent.iterdir()) == [checkpoint], "nothing else is left lying about"


def test_there_may_be_none(tmp_path):
    assert read_checkpoint(tmp_path / "missing", "mine") is None


def test_that_of_another_run_is_refused_and_left(checkpoint):
    before = checkpoint.read_bytes()
    with pytest.raises(ResumeError, match=r"run\.checkpoint belongs to a run with other images"):
        read_checkpoint(checkpoint, "another")
    assert checkpoint.read_bytes() == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:7],
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: data[:-6] + bytes([data[-6] ^ 1]) + data[-5:],
        lambda data: data.replace(b"mine", b"mane"),
        lambda data: b"something else" * 40,
    ],
    ids=["empty", "seven bytes", "half", "cut", "flipped bit", "header", "other file"],
)
def test_a_damaged_one_is_refused_with_a_way_out(checkpoint, damage):
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    with pytest.raises(ResumeError, match="without --resume"):
        read_checkpoint(checkpoint, "mine")


def test_a_model_or_a_folder_is_no_checkpoint(tmp_path):
    write_tensor_file(tmp_path / "model", "model", {"fingerprint": "mine"}, GROUPS)
    (tmp_path / "folder").mkdir()
    for name in ("model", "folder"):
        with pytest.raises(ResumeError, match="without --resume"):
            read_checkpoint(tmp_path / name, "mine")
