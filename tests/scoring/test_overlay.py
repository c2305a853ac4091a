"""A heat map over its image."""

import numpy as np
import pytest
from PIL import Image

from ahl._common.errors import ImageError
from ahl.scoring.overlay import LONGEST, draw_overlay


def heat_at(corner):
    heat = np.zeros((16, 16), dtype=np.float32)
    heat[corner] = 9.0
    return heat


def test_red_lies_where_the_heat_is_and_nowhere_else(tmp_path):
    grey = np.full((60, 90, 3), 128, dtype=np.uint8)
    heat = heat_at((slice(0, 8), slice(8, 16)))  # top right
    draw_overlay(grey, heat, (1.0, 4.0), tmp_path / "deep" / "a.png")
    drawn = np.asarray(Image.open(tmp_path / "deep" / "a.png")).astype(int)
    assert drawn.shape == grey.shape
    red = drawn[..., 0] - drawn[..., 2]
    assert red[:20, 60:].min() > 100
    assert (drawn[40:, :] == 128).all()
    assert (drawn[:, :30] == 128).all()


def test_the_same_heat_is_the_same_red_whatever_else_there_is(tmp_path):
    grey = np.full((32, 32, 3), 128, dtype=np.uint8)
    for name, highest in (("a", 2.5), ("b", 50.0)):
        heat = heat_at((slice(8, 16), slice(0, 16))) / 9 * 2.5
        heat[:4] = highest if name == "b" else 0.0
        draw_overlay(grey, heat, (1.0, 4.0), tmp_path / f"{name}.png")
    one, other = (np.asarray(Image.open(tmp_path / f"{n}.png")) for n in "ab")
    np.testing.assert_array_equal(one[24:], other[24:])
    assert (one[24:, :, 0] > 128).all()


def test_without_bounds_the_map_is_its_own_measure_and_flat_maps_do_no_harm(tmp_path):
    grey = np.full((32, 32, 3), 128, dtype=np.uint8)
    draw_overlay(grey, heat_at((0, 0)), None, tmp_path / "a.png")
    assert np.asarray(Image.open(tmp_path / "a.png"))[0, 0, 0] > 150
    draw_overlay(grey, np.zeros((16, 16), dtype=np.float32), None, tmp_path / "b.png")
    assert (np.asarray(Image.open(tmp_path / "b.png")) == 128).all()


def test_large_images_are_brought_down_and_unreadable_ones_refused(tmp_path):
    wide = np.zeros((10, 2 * LONGEST, 3), dtype=np.uint8)
    draw_overlay(wide, heat_at((0, 0)), (1.0, 4.0), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as drawn:
        assert drawn.size == (LONGEST, 5)
    with pytest.raises(ImageError):
        draw_overlay(tmp_path / "gone.png", heat_at((0, 0)), (1.0, 4.0), tmp_path / "b.png")
    assert not (tmp_path / "b.png").exists()
