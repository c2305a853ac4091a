"""Fine-tuning in two processes comes to what one process comes to."""

from pathlib import Path

import numpy as np
import pytest
import torch
from finetuned_by_two import StopInSecondEpoch, fit

from ahl import AHL
from ahl._common.processes import Processes
from ahl.learning.data_parallel import whole_batch_norm
from small_images import small_image
from two_processes import run_two

WEIGHTS, SCORES = 1e-5, 1e-2
"""Tolerances, relative: sums in another order in each of four steps, then features rounded to half
precision, which the heads learn from and the calibration divides by small spreads."""


def test_two_processes_go_on_from_where_one_stopped_and_come_to_what_one_does(tmp_path):
    one = fit(tmp_path / "one")
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "two", callback=StopInSecondEpoch())
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


class TwoAlike(Processes):
    """As if another process had the same part of the batch."""

    def sum(self, tensor):
        return tensor.mul_(2) if tensor.ndim == 2 else tensor.copy_(tensor.sum(0).expand(2, 3, -1))


@pytest.mark.parametrize("shape", [(6, 5, 7, 4), (6, 5), (3, 5, 9)])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_of_the_whole_batch_is_torchs(shape, affine):
    generator = torch.Generator().manual_seed(0)

    def draw(*sizes):
        return torch.randn(sizes, generator=generator, dtype=torch.float64)

    values, weight, bias, toward = 3 * draw(*shape) + 2, draw(5), draw(5), draw(*shape)
    found = []
    for processes in (Processes(), TwoAlike(count=2)):
        twice = processes.count == 1  # one process has both parts
        leaves = [tensor.clone().requires_grad_() for tensor in (values, weight, bias)]
        running = [torch.zeros(5, dtype=torch.float64), torch.ones(5, dtype=torch.float64)]
        with whole_batch_norm(processes):
            normalised = torch.nn.functional.batch_norm(
                torch.cat([leaves[0]] * 2) if twice else leaves[0],
                *running,
                *(leaves[1:] if affine else (None, None)),
                training=True,
            )
        (normalised * (torch.cat([toward] * 2) if twice else toward)).sum().backward()
        gradients = [leaf.grad for leaf in leaves if leaf.grad is not None]
        parts = 1 if twice else 2  # each of which has half of the gradients
        found.append(
            [normalised[: len(values)].detach(), *running, *(parts * one for one in gradients)]
        )
    assert len(found[0]) == (6 if affine else 4)
    for expected, value in zip(*found, strict=True):
        torch.testing.assert_close(value, expected)
