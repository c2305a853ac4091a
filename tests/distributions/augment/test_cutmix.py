import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ahl._common.errors import ConfigurationError
from ahl.distributions.augment import CutMix


def images(shape, seed=0):
    """Two images that differ everywhere: an even and an odd one."""
    random = np.random.default_rng(seed)
    even = random.integers(0, 128, size=shape, dtype=np.uint8) * 2
    return even, random.integers(0, 128, size=shape, dtype=np.uint8) * 2 + 1


def bounding_box(changed):
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


@given(st.integers(8, 120), st.integers(8, 120), st.integers(0, 9999))
@settings(max_examples=100)
def test_one_rectangle_comes_from_the_source_and_the_rest_from_the_image(height, width, seed):
    image, source = images((height, width, 3), seed)
    mixed = CutMix()(image, source, np.random.default_rng(seed))

    changed = (mixed != image).any(axis=2)
    box = bounding_box(changed)
    assert changed[box].all()
    np.testing.assert_array_equal(mixed[box], source[box])
    assert min(changed[box].shape) >= 2
    assert not changed.all()


def test_areas_fill_their_bounds_evenly():
    image, source = images((200, 300, 3))
    generator = CutMix(minimum_area=0.1, maximum_area=0.3)
    random = np.random.default_rng(0)
    areas = [(generator(image, source, random) != image).any(axis=2).mean() for _ in range(400)]
    assert 0.095 < min(areas) < 0.11
    assert 0.29 < max(areas) < 0.305
    assert np.mean(areas) == pytest.approx(0.2, abs=0.01)


def test_every_place_is_reached():
    image, source = images((16, 16, 3))
    random = np.random.default_rng(0)
    reached = np.zeros((16, 16), dtype=bool)
    for _ in range(300):
        reached |= (CutMix()(image, source, random) != image).any(axis=2)
    assert reached.all()


@pytest.mark.parametrize("seed", range(5))
def test_source_of_another_size_is_resized_as_a_whole(seed):
    image, source = np.zeros((30, 50, 3), dtype=np.uint8), images((90, 20, 3), 5)[1]
    mixed = CutMix()(image, source, np.random.default_rng(seed))
    expected = np.asarray(Image.fromarray(source).resize((50, 30), Image.Resampling.BILINEAR))
    changed = (mixed != image).any(axis=2)
    np.testing.assert_array_equal(mixed[changed], expected[changed])


def test_a_place_where_the_images_differ_is_preferred():
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    source = image.copy()
    source[20:40, 20:40] = 200
    generator = CutMix(minimum_area=0.05, maximum_area=0.1)
    for seed in range(30):
        mixed = generator(image, source, np.random.default_rng(seed))
        assert set(np.unique(mixed)) == {0, 200}


@pytest.mark.parametrize("seed", range(5))
def test_an_equal_source_leaves_an_inverted_rectangle(seed):
    image = images((20, 24, 3))[0]
    mixed = CutMix()(image, image.copy(), np.random.default_rng(seed))
    changed = (mixed != image).any(axis=2)
    assert changed[bounding_box(changed)].all()
    np.testing.assert_array_equal(mixed[changed], 255 - image[changed])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("alpha", 0.0),
        ("alpha", float("nan")),
        ("alpha", float("inf")),
        ("minimum_area", 0.0),
        ("minimum_area", 0.6),
        ("maximum_area", 1.0),
        ("maximum_area", 0.01),
    ],
)
def test_impossible_settings_are_refused_by_name(field, value):
    with pytest.raises(ConfigurationError, match=field):
        CutMix(**{field: value})
