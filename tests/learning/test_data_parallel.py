"""Fine-tuning in two processes comes to what one process comes to."""

from pathlib import Path

import numpy as np
import pytest
import torch
from finetuned_by_two import StopInSecondEpoch, fit

from ahl import AHL
from small_images import small_image
from two_processes import run_two

WEIGHTS, SCORES = 1e-5, 1e-2
"""Tolerances, relative: sums in another order in each of four steps, then features rounded to half
precision, which the heads learn from and the calibration divides by small spreads."""


def test_two_processes_go_on_from_where_one_stopped_and_come_to_what_one_does(tmp_path):
    one = fit(tmp_path / "one")
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "two", observer=StopInSecondEpoch())
    script = Path(__file__).with_name("finetuned_by_two.py")
    command = (script, tmp_path / "two", tmp_path / "model.ahl")
    for ended in run_two(command, command):
        assert ended.returncode == 0, ended.stderr
    two = AHL.load(tmp_path / "model.ahl")
    start = one._fitting.backbone.backbone.tensors()
    expected, found = (model.model.backbone.tensors() for model in (one, two))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=WEIGHTS, atol=WEIGHTS)
    images = [small_image("bar", i) for i in range(4)]
    np.testing.assert_allclose(two.score(images), one.score(images), rtol=SCORES)
    moved = {name for name in start if not torch.allclose(start[name], expected[name], atol=1e-4)}
    assert any("running_mean" in name for name in moved)  # there was batch norm to agree on
    assert any("weight" in name for name in moved)
