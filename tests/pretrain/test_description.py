"""The description of patches: learned once, whitened, and predictable."""

import numpy as np
import pytest
import torch

from ahl.pretrain.description import DIMENSIONS, GRID, Describer
from ahl.randomness import numpy_generator
from ahl.synthetic import draw_group


@pytest.fixture(scope="module")
def pictures():
    groups = [draw_group(64, numpy_generator(0, "described", i)) for i in range(12)]
    return np.concatenate([group.normals for group in groups])


@pytest.fixture(scope="module")
def describer(pictures):
    return Describer.learn(pictures, seed=0)


def as_images(pictures):
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


def test_descriptions_are_whitened(describer, pictures):
    with torch.no_grad():
        described = describer(as_images(pictures))
    assert described.shape == (len(pictures), DIMENSIONS, GRID, GRID)
    rows = described.movedim(1, -1).flatten(0, 2).double()
    torch.testing.assert_close(rows.mean(0), torch.zeros(DIMENSIONS).double(), atol=0.01, rtol=0)
    covariance = rows.T @ rows / len(rows)
    torch.testing.assert_close(covariance, torch.eye(DIMENSIONS).double(), atol=0.05, rtol=0)


def test_the_same_seed_learns_the_same(describer, pictures):
    again, other = Describer.learn(pictures, seed=0), Describer.learn(pictures, seed=1)
    assert torch.equal(again.projection, describer.projection)
    assert not torch.equal(other.projection, describer.projection)


def test_a_description_is_of_its_own_cell(describer, pictures):
    """A change in one corner does not reach the opposite one."""
    images = as_images(pictures[:1])
    changed = images.clone()
    changed[..., :8, :8] = 1 - changed[..., :8, :8]
    with torch.no_grad():
        before, after = describer(images), describer(changed)
    assert not torch.allclose(before[..., 0, 0], after[..., 0, 0])
    torch.testing.assert_close(before[..., 4:, 4:], after[..., 4:, 4:], atol=1e-4, rtol=1e-4)
