"""Filters learned from patches, and a backbone made of them."""

import numpy as np
import pytest
import torch

from ahl.features.extractor import as_tensor
from ahl.pretrain import filters
from ahl.pretrain.filter_learning import learn_filters
from ahl.pretrain.filters import learn_backbone

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def fewer_patches(monkeypatch):
    monkeypatch.setattr(filters, "PATCHES", 1000)


def pictures(count=6, size=64):
    """Stripes in many directions, and noise."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size]
    grey = [
        120
        + 60 * np.sin(x * np.cos(angle) / 3 + y * np.sin(angle) / 3)
        + random.normal(0, 5, (size, size))
        for angle in random.uniform(0, np.pi, count)
    ]
    return np.repeat(np.stack(grey)[..., None], 3, axis=-1).clip(0, 255).astype(np.uint8)


def test_the_same_pictures_and_seed_learn_the_same():
    first = learn_backbone(pictures(), seed=0)
    assert learn_backbone(pictures(), seed=0).describe() == first.describe()
    assert learn_backbone(pictures(), seed=1).describe() != first.describe()


def test_features_have_mean_0_and_spread_1_on_what_was_learned_from():
    backbone = learn_backbone(pictures(20), seed=0)
    with torch.inference_mode():
        rows = backbone(as_tensor(pictures(20), CPU)).movedim(1, 0).flatten(1)
    torch.testing.assert_close(rows.mean(1), torch.zeros(len(rows)), rtol=0, atol=1e-3)
    assert rows.std(1, correction=0).median() > 0.99


def test_flat_pictures_give_filters_that_are_finite():
    backbone = learn_backbone(np.full((2, 64, 64, 3), 7, np.uint8), seed=0)
    with torch.inference_mode():
        for image in (torch.zeros(1, 3, 64, 64), as_tensor(pictures(1), CPU)):
            assert backbone(image).isfinite().all()


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
