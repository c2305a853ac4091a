import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ahl._common.errors import ConfigurationError
from ahl.distributions.augment import DraemMask
from ahl.distributions.augment.draem import augment_texture, blend


def noise_image(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, size=shape, dtype=np.uint8)


def test_blend_is_the_papers_formula():
    image = np.array([[0, 100, 200], [255, 7, 31]], dtype=np.uint8)
    filling = np.array([[255, 50, 200], [0, 8, 29]], dtype=np.uint8)
    for opacity in (0.0, 0.15, 0.6, 1.0):
        expected = [
            round((1 - opacity) * float(a) + opacity * float(b))
            for a, b in zip(image.flat, filling.flat, strict=True)
        ]
        blended = blend(image, filling, opacity)
        assert blended.dtype == np.uint8
        assert blended.ravel().tolist() == expected


@pytest.mark.parametrize("seed", range(20))
def test_masked_pixels_are_blended_and_the_others_untouched(seed):
    """A flat source stays flat when augmented: one opacity and colour must explain all."""
    image = noise_image((64, 64, 3), seed)
    source = np.full((32, 32, 3), 140, dtype=np.uint8)
    generator = DraemMask(minimum_opacity=0.3, maximum_opacity=0.7)
    tampered = generator(image, source, np.random.default_rng(seed))

    masked = (tampered != image).any(axis=2)
    assert 0 < masked.mean() < 0.6
    before, after = image[masked].astype(float), tampered[masked].astype(float)
    for channel in range(3):
        kept, added = np.polyfit(before[:, channel], after[:, channel], 1)
        assert 0.29 < kept < 0.71
        opacity = 1 - kept
        assert -2 <= added / opacity <= 257
        assert np.abs(kept * before[:, channel] + added - after[:, channel]).max() < 0.75


def test_full_opacity_shows_the_filling_alone():
    image, source = noise_image((64, 64, 3)), np.full((64, 64, 3), 140, dtype=np.uint8)
    generator = DraemMask(minimum_opacity=1, maximum_opacity=1)
    for seed in range(10):
        tampered = generator(image, source, np.random.default_rng(seed))
        filled = tampered[(tampered != image).any(axis=2)]
        assert len(np.unique(filled, axis=0)) == 1


@given(st.integers(8, 120), st.integers(8, 120), st.integers(0, 9999))
@settings(max_examples=100)
def test_masks_are_neither_empty_nor_everything(height, width, seed):
    mask = DraemMask().draw_mask(height, width, np.random.default_rng(seed))
    assert mask.shape == (height, width)
    assert mask.dtype == np.bool_
    assert mask.any()
    assert not mask.all()


@pytest.mark.parametrize("seed", range(20))
def test_a_threshold_out_of_reach_still_leaves_a_mask(seed):
    generator = DraemMask(threshold=0.999, maximum_octave=0)
    mask = generator.draw_mask(40, 30, np.random.default_rng(seed))
    assert 0 < mask.mean() < 0.7


def test_masks_vary_in_area_and_grain():
    random = np.random.default_rng(0)
    masks = [DraemMask().draw_mask(128, 128, random) for _ in range(100)]
    areas = [mask.mean() for mask in masks]
    edges = [np.diff(mask, axis=0).mean() / mask.mean() for mask in masks]
    assert min(areas) < 0.02
    assert 0.1 < max(areas) < 0.6
    assert max(edges) > 5 * min(edges)


@pytest.mark.parametrize("seed", range(30))
def test_augmented_textures_keep_size_and_mode_and_their_input(seed):
    pixels = noise_image((20, 33, 3))
    texture = Image.fromarray(pixels)
    augmented = augment_texture(texture, np.random.default_rng(seed))
    assert augmented.size == (33, 20)
    assert augmented.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(texture), pixels)


def test_augmented_textures_look_foreign():
    gradient = np.tile(np.linspace(60, 180, 64).astype(np.uint8)[:, None, None], (1, 64, 3))
    random = np.random.default_rng(0)
    changes = [
        np.abs(np.asarray(augment_texture(Image.fromarray(gradient), random)) - 1.0 * gradient)
        for _ in range(100)
    ]
    assert np.median([change.mean() for change in changes]) > 25


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("threshold", 0.0),
        ("threshold", 1.0),
        ("maximum_octave", -1),
        ("minimum_area", 1.0),
        ("minimum_opacity", 0.0),
        ("maximum_opacity", 1.1),
        ("maximum_opacity", 0.1),
    ],
)
def test_impossible_settings_are_refused_by_name(field, value):
    with pytest.raises(ConfigurationError, match=field):
        DraemMask(**{field: value})
