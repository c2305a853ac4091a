"""Image sizes as people and files write them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahl._common.errors import ConfigurationError
from ahl.config import Config, FeatureConfig, default, paper, preset
from ahl.config.image_size import as_option, in_pixels, read_size

SIDES = st.integers(16, 2048).map(lambda half: 2 * half)
SIZES = st.tuples(SIDES, SIDES)


@pytest.mark.parametrize(
    ("written", "size"),
    [
        (448, (448, 448)),
        ("448", (448, 448)),
        ("1120x448", (1120, 448)),
        (" 1120 X 448 ", (1120, 448)),
        ((1120, 448), (1120, 448)),
        ([1120, 448], (1120, 448)),
        ("auto", None),
        (None, None),
    ],
)
def test_a_size_is_read_however_it_is_written(written, size):
    assert read_size(written) == size


@pytest.mark.parametrize(
    "written",
    [
        *("", "x", "448x", "x448", "1x2x3", "-448", "4.5", "two", "9" * 10),
        *(True, 4.5, (), (1, 2, 3), {}, [448.0, 448], [True, 448]),
    ],
)
def test_what_is_no_size_is_refused(written):
    with pytest.raises(ConfigurationError, match=r"image_size is .*HxW"):
        read_size(written)


@given(SIZES)
def test_what_is_printed_can_be_read(size):
    assert read_size(as_option(size)) == size
    assert read_size(in_pixels(size).removesuffix(" px")) == size


def test_a_size_for_people_has_the_height_first():
    assert in_pixels((448, 1120)) == "448 x 1120 px"
    assert in_pixels((256, 4096), 256) == "256 x 4096 px in tiles of 256 px"


@pytest.mark.parametrize("size", [(30, 64), (64, 4098), (64, 65), (65, 64)])
def test_sides_that_cannot_work_are_refused(size):
    with pytest.raises(ConfigurationError, match="even sides from 32 to 4096"):
        FeatureConfig(image_size=size)


def test_a_size_that_is_still_to_be_chosen_is_asked_for():
    with pytest.raises(ConfigurationError, match=r"image_size is auto"):
        _ = FeatureConfig(image_size=None).size


def test_presets_take_a_size_and_have_their_own():
    assert paper().features.size == (448, 448)
    assert preset("paper", image_size="64x32").features.size == (64, 32)
    assert preset("paper", image_size="auto").features.image_size is None


@given(st.none() | SIZES)
def test_configs_survive_json(size):
    config = default().with_image_size(size or "auto")
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("size", "tiles", "share"),
    [((64, 256), 64, 1 / 4), ((64, 256), 128, 1 / 2), ((64, 256), 0, 1), ((48, 48), 96, 1)],
)
def test_a_tile_is_the_share_of_the_image_that_it_covers(size, tiles, share):
    """No tile is larger than its image: what lies outside has no positions to pool."""
    assert FeatureConfig(image_size=size, tiles=tiles).tile_share == share
