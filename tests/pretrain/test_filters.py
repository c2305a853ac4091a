"""Filters learned from patches, and the convolution that applies them."""

import numpy as np
import pytest
import torch

from ahl.pretrain import contrast_layer
from ahl.pretrain.contrast_layer import ContrastLayer
from ahl.pretrain.filter_learning import learn_filters


@pytest.fixture(autouse=True)
def fewer_patches(monkeypatch):
    monkeypatch.setattr(contrast_layer, "PATCHES", 1000)


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_flat_pictures_give_filters_that_are_finite(value):
    layer = ContrastLayer(4, 3, side=6, stride=2, contrast_floor=0.05)
    with torch.inference_mode():
        layer.learn([torch.full((2, 3, 16, 16), value)], np.random.default_rng(0))
        assert layer(torch.rand(1, 3, 16, 16)).isfinite().all()


def test_response_is_that_of_the_whitened_normalised_patch():
    """The convolution with local statistics, against the definition patch by patch."""
    layer = ContrastLayer(8, 3, side=6, stride=2, contrast_floor=0.05)
    pictures = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        layer.learn([pictures, pictures[..., :16, :16]], np.random.default_rng(0))
    maps = torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    found = layer(maps)[0]
    padded = torch.nn.functional.pad(maps, [2, 2, 2, 2], mode="replicate")[0].double()
    filters, offsets = layer.filters.detach().double(), layer.offsets.detach().double().flatten()
    for row, column in ((0, 0), (3, 7), (9, 9)):
        patch = padded[:, 2 * row : 2 * row + 6, 2 * column : 2 * column + 6]
        contrast = (patch.var(correction=0) + layer.contrast_floor).sqrt()
        normalised = (patch - patch.mean()) / contrast
        response = (filters * normalised).sum((1, 2, 3)) + offsets
        expected = torch.cat([response.relu(), (-response).relu(), contrast.log()[None]])
        torch.testing.assert_close(found[:, row, column].double(), expected, atol=1e-4, rtol=1e-4)


def test_filters_find_the_directions_that_patches_come_in():
    random = np.random.default_rng(0)
    kinds = np.array([[3, -3, 0, 0, 0, 0], [0, 0, 3, -3, 0, 0], [0, 0, 0, 0, 3, -3.0]])
    rows = kinds[random.integers(0, 3, 600)] + random.normal(0, 0.1, (600, 6))
    filters, offsets = learn_filters(
        rows, count=24, contrast_floor=1e-3, ridge=0.01, generator=random
    )
    normalised = kinds / np.sqrt(kinds.var(axis=1, keepdims=True) + 1e-3)
    responses = normalised @ filters.T + offsets
    assert len(set(responses.argmax(axis=0))) == 3, "every kind has a filter of its own"
    assert (responses.max(axis=1) > 0.5).all()
