"""Fine-tuning in two processes: both have the same weights, the first one the model."""

from pathlib import Path

import pytest
import torch
from finetuned_by_two import StopInSecondEpoch, finetuned

from ahl import AHL
from small_images import small_image
from two_processes import run_two


def test_two_processes_go_on_from_where_one_stopped_and_share_the_batches(tmp_path):
    one = finetuned(tmp_path / "one")
    with pytest.raises(KeyboardInterrupt):
        finetuned(tmp_path / "two", callback=StopInSecondEpoch())
    script = Path(__file__).with_name("finetuned_by_two.py")
    command = (script, tmp_path / "two", tmp_path / "model.ahl")
    for ended in run_two(command, command):
        assert ended.returncode == 0, ended.stderr
    two = AHL.load(tmp_path / "model.ahl")
    start = one.backbone.tensors()
    expected, found = (model.model_.backbone.tensors() for model in (one, two))
    moved = [name for name in start if not torch.equal(start[name], expected[name])]
    assert any("weight" in name for name in moved)
    for name in moved:  # in the same direction, though batch norm saw half a batch
        if start[name].is_floating_point() and start[name].numel() > 20:
            steps = [(after[name] - start[name]).flatten() for after in (expected, found)]
            assert torch.cosine_similarity(*steps, dim=0) > 0.5, name
    assert len(list(two.decision_function([small_image("bar", i) for i in range(4)]))) == 4
