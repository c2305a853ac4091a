"""Filters learned from normal images: any images, the same filters, filters that see."""

import time
import warnings

import numpy as np
import pytest
import torch

from ahl.backbones import PatchBackbone, patches
from ahl.backbones._filter_learning import learn_filters
from ahl.errors import ConfigurationError

HALF_MAXIMUM = 65504.0


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def fewer_patches(request, monkeypatch):
    """A tenth of the work; the one test of the time it takes does it all."""
    if "slow" not in request.fixturenames:
        monkeypatch.setattr(patches, "_PATCHES", 1000)


@pytest.fixture
def slow():
    """Ask for this to learn as users do."""


def textures(count, size=64, seed=0):
    random = np.random.default_rng(seed)
    x = np.arange(size) / size
    grey = [
        120 + 50 * np.sin(30 * x + random.uniform(0, 6)) + random.normal(0, 3, (size, size))
        for _ in range(count)
    ]
    return [np.repeat(each[:, :, None], 3, axis=2).clip(0, 255).astype(np.uint8) for each in grey]


def features(backbone, images):
    with torch.inference_mode():
        return backbone(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255)


DEGENERATE = {
    "one flat image": [np.full((64, 64, 3), 7, np.uint8)],
    "black images": [np.zeros((32, 32, 3), np.uint8)] * 3,
    "one image": textures(1),
    "one image many times": textures(1) * 30,
    "smallest": [each[:16, :16] for each in textures(2)],
    "not square": [each[:20] for each in textures(3)],
    "one level of noise": [100 + (np.indices((64, 64, 3)).sum(0) % 2).astype(np.uint8)],
    "black and white": [np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 255, np.uint8)],
}


@pytest.mark.parametrize("images", DEGENERATE.values(), ids=DEGENERATE.keys())
def test_poor_images_give_a_backbone_that_works(images):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        backbone = PatchBackbone.learn(images, seed=0)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for probe in (images[0], noise, np.zeros((64, 64, 3), np.uint8), *textures(1, seed=9)):
        found = features(backbone, [probe])
        assert found.isfinite().all()
        assert found.abs().max() < HALF_MAXIMUM, "the cache stores half precision"


def test_seed_and_images_decide_the_filters():
    images = textures(3)
    first = PatchBackbone.learn(images, seed=3)
    assert PatchBackbone.learn(images, seed=3).describe() == first.describe()
    assert PatchBackbone.learn(images, seed=4).describe() != first.describe()
    assert PatchBackbone.learn(textures(3, seed=1), seed=3).describe() != first.describe()


def test_images_are_not_modified():
    images = textures(3)
    kept = [each.copy() for each in images]
    for each in images:
        each.flags.writeable = False
    PatchBackbone.learn(images, seed=0)
    np.testing.assert_array_equal(images, kept)


def test_features_are_standardised_on_normal_images():
    images = textures(20)
    found = features(PatchBackbone.learn(images, seed=0), images).permute(1, 0, 2, 3).flatten(1)
    torch.testing.assert_close(found.mean(1), torch.zeros(len(found)), rtol=0, atol=1e-3)
    spread = found.std(1, correction=0)
    assert spread.max() < 1.001
    assert spread.median() > 0.99


def test_a_defect_stands_out_where_it_is():
    backbone = PatchBackbone.learn(textures(20, 128), seed=0)
    normal = features(backbone, textures(10, 128, seed=5))
    damaged = textures(10, 128, seed=5)
    for image in damaged:
        image[70:74, 100:120] = 255 - image[70:74, 100:120]
    change = (features(backbone, damaged) - normal).square().mean(dim=(0, 1))
    assert change.shape == (4, 4)
    assert change[2, 3] == change.max()
    assert change[0, 0] < 0.01 * change[2, 3]
    # Against all that normal images do in that cell.
    usual = (normal - normal.mean(0)).square().mean(dim=(0, 1))
    assert change[2, 3] > 2 * usual[2, 3]


def test_grid_is_one_cell_for_32_pixels():
    backbone = PatchBackbone.learn(textures(2), seed=0)
    shapes = [
        tuple(backbone(torch.zeros(1, 3, height, width)).shape[1:])
        for height, width in ((224, 224), (112, 112), (96, 32))
    ]
    assert shapes == [(197, 7, 7), (197, 4, 4), (197, 3, 1)]


def test_learning_takes_seconds(slow):
    started = time.process_time()
    PatchBackbone.learn(textures(60, 112), seed=0)
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    "images",
    [
        [],
        [np.zeros((15, 64, 3), np.uint8)],
        [np.zeros((64, 64), np.uint8)],
        [np.zeros((64, 64, 4), np.uint8)],
        [np.zeros((64, 64, 3), np.float32)],
        [np.zeros((64, 64, 3), np.uint8), np.zeros((32, 32, 3), np.uint8)],
    ],
    ids=["none", "too small", "grey", "alpha", "float", "of two sizes"],
)
def test_other_images_are_refused(images):
    with pytest.raises(ConfigurationError, match=r"one shape \(H, W, 3\)"):
        PatchBackbone.learn(images, seed=0)


@pytest.mark.parametrize("filters", [(0, 4), (4, -1), (4,), (1, 10**9), (2.0, 2), (True, 2)])
def test_impossible_numbers_of_filters_are_refused(filters):
    with pytest.raises(ConfigurationError, match="two whole numbers"):
        PatchBackbone(filters=filters)


def test_response_is_that_of_the_whitened_normalised_patch():
    """The convolution with local statistics, against the definition patch by patch."""
    backbone = PatchBackbone.learn(textures(6), seed=0)
    layer = backbone.first
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
