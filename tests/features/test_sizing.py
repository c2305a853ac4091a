"""Image sizes that are chosen from the training images."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ahl._common.callbacks import Callback
from ahl.config import FeatureConfig, default
from ahl.features.backbones import TimmBackbone
from ahl.features.sizing import (
    ABOVE,
    LEAST,
    LONGEST,
    MOST,
    MOST_CELLS,
    MOST_CELLS_IN_TILES,
    NOMINAL,
    affordable_pixels,
    choose_size,
    multiply_adds,
    with_size,
)
from tiny import TinyBackbone

SIDES = st.integers(8, 6000)
SHAPES = st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=5)
MULTIPLES = st.sampled_from([2, 16, 28, 32, 64, 128])
AFFORDABLE = st.floats(1, 10**7)


class Notes(Callback):
    def __init__(self):
        self.notes = []

    def on_note(self, text):
        self.notes.append(text)


def wanted(shapes, affordable=math.inf):
    height, width = np.median(np.array(shapes), axis=0)
    return min(max(height * width, LEAST), max(LEAST, min(MOST, affordable)))


@given(SHAPES, MULTIPLES, AFFORDABLE)
def test_sides_are_multiples_that_a_config_takes(shapes, multiple, affordable):
    size = choose_size(shapes, multiple=multiple, affordable=affordable)
    assert all(side % multiple == 0 for side in size)
    assert FeatureConfig(image_size=size).size == size
    assert size == choose_size(shapes, multiple=multiple, affordable=affordable)


@given(SHAPES, MULTIPLES, st.sampled_from([16, 1024, 65536, MOST, 2048 * 2048]))
def test_every_limit_of_pixels_gives_a_size_that_a_config_takes(shapes, multiple, most):
    size = choose_size(shapes, multiple=multiple, most=most)
    assert FeatureConfig(image_size=size).size == size


@given(SHAPES, MULTIPLES, AFFORDABLE)
def test_sides_are_the_nearest_multiples_of_ones_with_the_images_ratio(shapes, multiple, most):
    size = choose_size(shapes, multiple=multiple, affordable=most)
    height, width = np.median(np.array(shapes), axis=0).round()
    ratio = float(np.clip(height / width, 1 / LONGEST, LONGEST))
    # Some ideal height rounds to the height, and its width to the width (or is below the least).
    lowest, highest = ((size[0] + half * multiple) / ratio for half in (-0.5, 0.5))
    least = max(multiple, 32)
    narrowest = 0 if size[1] <= least + multiple / 2 else size[1] - multiple / 2
    at_least = size[0] <= least + multiple / 2  # the height can go no lower
    assert lowest <= size[1] + multiple / 2 + 1e-9 or at_least
    assert highest >= narrowest - 1e-9 or at_least


@given(SHAPES, st.sampled_from([2, 16, 28, 32]), AFFORDABLE)
def test_pixels_are_near_those_of_the_images_within_the_limits(shapes, multiple, affordable):
    height, width = choose_size(shapes, multiple=multiple, affordable=affordable)
    pixels, ideal = height * width, wanted(shapes, affordable)
    assert pixels >= LEAST / ABOVE
    if multiple == 2 and max(height, width) <= 8 * min(height, width):
        assert pixels == pytest.approx(ideal, rel=0.03)
    else:
        assert pixels <= 1.6 * ideal


@given(SHAPES, MULTIPLES, AFFORDABLE)
def test_a_limit_is_passed_by_a_tenth_or_as_little_as_the_least_needs(shapes, multiple, most):
    height, width = choose_size(shapes, multiple=multiple, affordable=most)
    least = choose_size(shapes, multiple=multiple, affordable=1)
    assert height * width <= max(ABOVE * max(LEAST, min(MOST, most)), math.prod(least))


@given(SHAPES, MULTIPLES, AFFORDABLE, AFFORDABLE)
def test_more_time_never_makes_images_smaller(shapes, multiple, one, other):
    small, large = (
        choose_size(shapes, multiple=multiple, affordable=affordable)
        for affordable in sorted((one, other))
    )
    assert small[0] <= large[0]
    assert small[1] <= large[1]


@given(st.tuples(SIDES, SIDES), MULTIPLES, AFFORDABLE)
def test_turned_images_get_the_turned_size(shape, multiple, affordable):
    size = choose_size([shape], multiple=multiple, affordable=affordable)
    turned = choose_size([shape[::-1]], multiple=multiple, affordable=affordable)
    assert turned == size[::-1]


@pytest.mark.parametrize(
    ("shape", "multiple", "size"),
    [
        ((1024, 1024), 64, (448, 448)),
        ((1254, 500), 64, (704, 256)),
        ((300, 300), 32, (288, 288)),
        ((100, 100), 32, (224, 224)),
        ((100, 100), 64, (256, 256)),
        ((10, 6000), 64, (64, 960)),
        ((3000, 4000), 28, (392, 504)),
    ],
)
def test_sizes_of_some_images(shape, multiple, size):
    assert choose_size([shape], multiple=multiple) == size


def test_without_a_readable_image_it_is_a_square():
    assert choose_size([], multiple=32) == (224, 224)


def test_the_work_of_a_network_is_counted():
    class Filters(TinyBackbone):
        """A convolution of 5 x 5 filters, 3 to 12 channels, at half of the pixels each way."""

    assert multiply_adds(Filters()) == pytest.approx(5 * 5 * 3 * 12 / 4)


def test_time_is_shared_by_all_images_at_both_scales():
    pixels = affordable_pixels(TinyBackbone(), 1000, minutes=2)
    assert pixels * 1.25 * 1000 * multiply_adds(TinyBackbone()) / NOMINAL == pytest.approx(120)
    assert affordable_pixels(TinyBackbone(), 2000, minutes=2) == pytest.approx(pixels / 2)


def test_a_networks_multiple_is_twice_its_coarsest_stride():
    assert TimmBackbone(name="resnet18").multiple == 64
    assert TimmBackbone(name="resnet18", stages=(1, 2)).multiple == 16
    assert TinyBackbone().multiple == 64


@pytest.fixture
def images(tmp_path):
    for number in range(5):
        Image.new("L", (300 + number, 600)).save(tmp_path / f"{number}.png")
    (tmp_path / "torn.png").write_text("no image")
    return sorted(tmp_path.iterdir())


def test_a_size_of_auto_is_chosen_and_told(images):
    callback = Notes()
    found = with_size(default(), TinyBackbone(), images, callback=callback)
    assert found.features.size == (608, 288)
    assert callback.notes == [
        "Images are resized to 608 x 288 px (chosen from their median size 600 x 302 px; "
        "--image-size HxW sets another)."
    ]
    assert replace(found, features=FeatureConfig()) == default()


def test_little_time_makes_a_smaller_size_and_says_so(images):
    callback, config = Notes(), default()
    config = replace(config, features=replace(config.features, minutes=1e-9))
    found = with_size(config, TinyBackbone(), images, callback=callback)
    assert found.features.size == (320, 160)
    assert "and by what one core extracts in 1e-09 minutes" in callback.notes[0]


def test_a_fine_backbone_gets_no_more_cells_than_learning_can_bear(images):
    class Fine(TinyBackbone):
        multiple = 28

    config = default()
    for tiles, most in ((0, MOST_CELLS), (112, MOST_CELLS_IN_TILES)):
        config = replace(config, features=replace(config.features, tiles=tiles))
        large = [np.zeros((3000, 3000, 3), np.uint8)]
        height, width = with_size(config, Fine(), large, callback=Callback()).features.size
        assert 0.9 * most < height * width / 14**2 < 1.1 * most


def test_in_tiles_small_images_are_enlarged_to_two_tiles_a_side_and_told(images):
    callback, config = Notes(), default().with_image_size("auto", tiles=448)
    height, width = with_size(config, TinyBackbone(), images, callback=callback).features.size
    assert height * width == pytest.approx((2 * 448) ** 2, rel=0.1)
    assert height / width == pytest.approx(600 / 302, rel=0.1)
    assert "from their median size 600 x 302 px, enlarged for small defects;" in callback.notes[0]
    large = [np.zeros((1000, 1000, 3), np.uint8)]
    assert with_size(config, TinyBackbone(), large, callback=callback).features.size == (1024, 1024)
    assert "enlarged" not in callback.notes[1]


def test_in_tiles_what_time_does_not_allow_is_not_called_enlarged(images):
    callback, config = Notes(), default().with_image_size("auto", tiles=448)
    config = replace(config, features=replace(config.features, minutes=1e-9))
    height, width = with_size(config, TinyBackbone(), images, callback=callback).features.size
    assert height * width < 600 * 302
    assert "enlarged" not in callback.notes[0]
    assert "and by what one core extracts in 1e-09 minutes" in callback.notes[0]


def test_a_given_size_stays_and_nothing_is_told(images):
    callback, config = Notes(), default().with_image_size(96)
    assert with_size(config, TinyBackbone(), images, callback=callback) is config
    assert not callback.notes


def test_at_most_two_hundred_images_are_looked_at(monkeypatch):
    seen = []

    def shape(source):
        seen.append(source)
        return (300, 300 if source < 4990 else 9)

    monkeypatch.setattr("ahl.features.sizing.image_shape", shape)
    found = with_size(default(), TinyBackbone(), range(5000), callback=Callback())
    assert (len(seen), seen[0], seen[-1]) == (200, 0, 4999)
    assert found.features.size == (288, 288)


def test_probing_leaves_no_trace():
    backbone = TinyBackbone()
    state = torch.random.get_rng_state()
    multiply_adds(backbone)
    assert backbone.filters.grad is None
    assert torch.equal(state, torch.random.get_rng_state())
