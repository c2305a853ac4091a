import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ahl._common.errors import ConfigurationError
from ahl.distributions.augment import CutPaste

PLAIN_PATCH = CutPaste(scar_probability=0, rotation_probability=0, jitter_probability=0)
TURNED_PATCH = CutPaste(scar_probability=0, rotation_probability=1, jitter_probability=0)
SCAR = CutPaste(scar_probability=1, jitter_probability=0)


def noise_image(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, size=shape, dtype=np.uint8)


def changed_pixels(generator, image, seed):
    return (generator(image, image, np.random.default_rng(seed)) != image).any(axis=2)


def bounding_box(changed):
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


@pytest.mark.parametrize("seed", range(10))
def test_a_plain_patch_is_a_copy_of_another_part(seed):
    image = noise_image((48, 60, 3))
    pasted = PLAIN_PATCH(image, image, np.random.default_rng(seed))
    box = bounding_box((pasted != image).any(axis=2))
    patch = pasted[box]
    places = np.lib.stride_tricks.sliding_window_view(image, patch.shape).squeeze(2)
    assert (places == patch).all(axis=(2, 3, 4)).any()


@given(st.integers(8, 120), st.integers(8, 120), st.integers(0, 9999))
@settings(max_examples=100)
def test_the_change_is_confined(height, width, seed):
    changed = changed_pixels(CutPaste(), noise_image((height, width, 3), seed), seed)
    # 0.15 of the image, and what rounding adds to either side of a small one.
    assert changed.sum() <= 0.15 * height * width + height + width


def test_patch_areas_and_aspects_are_the_papers():
    image = noise_image((256, 256, 3))
    areas, aspects = [], []
    for seed in range(200):
        box = changed_pixels(PLAIN_PATCH, image, seed)
        rows, columns = bounding_box(box)
        height, width = rows.stop - rows.start, columns.stop - columns.start
        areas.append(height * width / 256**2)
        aspects.append(width / height)
    assert 0.018 < min(areas) < 0.03
    assert 0.13 < max(areas) < 0.155
    assert 0.28 < min(aspects) < 0.4
    assert 2.5 < max(aspects) < 3.5
    assert np.median(aspects) == pytest.approx(1, abs=0.25)


def test_scars_are_small_and_lie_every_way():
    image = noise_image((256, 256, 3))
    tall = wide = 0
    for seed in range(200):
        changed = changed_pixels(SCAR, image, seed)
        rows, columns = bounding_box(changed)
        height, width = rows.stop - rows.start, columns.stop - columns.start
        assert height**2 + width**2 <= 2 * (25 + 16) ** 2
        assert 15 <= changed.sum() <= 25 * 16 * 1.1
        tall, wide = tall + (height > 1.5 * width), wide + (width > 1.5 * height)
    assert tall > 20
    assert wide > 20


def test_a_turned_patch_has_no_rim_of_foreign_colour():
    image = np.random.default_rng(0).integers(100, 201, size=(64, 64, 3), dtype=np.uint8)
    for seed in range(30):
        pasted = TURNED_PATCH(image, image, np.random.default_rng(seed))
        assert pasted.min() >= 100
        assert pasted.max() <= 200


def test_a_turned_patch_is_slanted():
    image = noise_image((96, 96, 3))
    filled = []
    for seed in range(30):
        changed = changed_pixels(TURNED_PATCH, image, seed)
        filled.append(changed[bounding_box(changed)].mean())
    assert np.median(filled) < 0.85


@pytest.mark.parametrize("shape", [(8, 400, 3), (400, 8, 3)])
@pytest.mark.parametrize("seed", range(10))
def test_a_patch_too_long_to_turn_is_pasted_unturned(shape, seed):
    assert changed_pixels(TURNED_PATCH, noise_image(shape), seed).any()


def test_jitter_changes_the_colours_of_the_patch_only_a_little():
    jittered = CutPaste(scar_probability=0, rotation_probability=0, jitter_probability=1)
    image = np.full((64, 64, 3), (120, 90, 60), dtype=np.uint8)
    image[:, :32] = (60, 90, 120)
    colours = set()
    for seed in range(20):
        pasted = jittered(image, image, np.random.default_rng(seed))
        changed = (pasted != image).any(axis=2)
        assert changed[bounding_box(changed)].any()
        assert pasted[changed].min() > 20
        assert pasted[changed].max() < 180
        colours.add(tuple(pasted[changed][0]))
    assert len(colours) > 15


@pytest.mark.parametrize("seed", range(5))
def test_a_flat_image_is_inverted_under_the_patch(seed):
    image = np.full((40, 40, 3), 30, dtype=np.uint8)
    generator = CutPaste(jitter_probability=0)
    pasted = generator(image, image, np.random.default_rng(seed))
    assert set(np.unique(pasted)) == {30, 225}


def test_the_source_is_not_used():
    image = noise_image((40, 40, 3))
    for seed in range(5):
        results = [
            CutPaste()(image, noise_image((40, 40, 3), source), np.random.default_rng(seed))
            for source in (1, 2)
        ]
        np.testing.assert_array_equal(*results)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scar_probability", -0.1),
        ("rotation_probability", 1.1),
        ("jitter_probability", float("nan")),
        ("maximum_angle", 91.0),
        ("maximum_jitter", 0.6),
    ],
)
def test_impossible_settings_are_refused_by_name(field, value):
    with pytest.raises(ConfigurationError, match=field):
        CutPaste(**{field: value})
