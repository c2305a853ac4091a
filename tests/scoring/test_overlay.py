"""A heat map over its image."""

import numpy as np

from ahl.scoring.overlay import BLUE, GREEN, LONGEST, RED, brought_down, outline, overlay

GREY = np.full((60, 90, 3), 128, dtype=np.uint8)
BOUNDS = (1.0, 4.0)


def heat_at(rows, columns, value=9.0):
    heat = np.zeros((16, 16), dtype=np.float32)
    heat[rows, columns] = value
    return heat


def is_colour(drawn, colour):
    return (drawn == np.array(colour)).all(axis=2)


def test_red_lies_where_the_heat_is_and_nowhere_else():
    drawn = overlay(GREY, heat_at(slice(0, 8), slice(8, 16)), BOUNDS)  # top right
    assert drawn.shape == GREY.shape
    red = drawn[..., 0].astype(int) - drawn[..., 2]
    assert red[:20, 60:].min() > 80
    assert (drawn[40:, :] == 128).all()
    assert (drawn[:, :30] == 128).all()


def test_the_same_heat_is_the_same_red_whatever_else_there_is():
    heat = heat_at(slice(8, 16), slice(0, 16), 2.5)
    one = overlay(GREY, heat, BOUNDS)
    heat[:4] = 50.0
    np.testing.assert_array_equal(one[50:55, 20:70], overlay(GREY, heat, BOUNDS)[50:55, 20:70])
    assert (one[50:55, 20:70, 0] > 128).all()


def test_the_strongest_place_is_outlined_also_where_nothing_is_red():
    for value, colour, other in ((9.0, RED, BLUE), (0.9, BLUE, RED)):
        drawn = overlay(GREY, heat_at(slice(4, 8), slice(4, 8), value), BOUNDS)
        rim = is_colour(drawn, colour)
        rows, columns = np.nonzero(rim)
        assert not is_colour(drawn, other).any()
        assert abs(rows.min() - 15) <= 3
        assert abs(rows.max() - 30) <= 3
        assert abs(columns.min() - 22) <= 4
        assert not rim[20:26, 30:40].any(), "a line, no patch"


def test_flat_maps_do_no_harm_and_masks_are_outlined_in_green():
    plain = overlay(GREY, heat_at(slice(0, 0), slice(0, 0)), None)
    assert (plain == 128).all()
    mask = np.zeros((30, 45), dtype=np.bool_)
    mask[10:20, 10:30] = True
    drawn = overlay(GREY, heat_at(slice(0, 0), slice(0, 0)), None, mask)
    green = is_colour(drawn, GREEN)
    assert green.any(axis=1).nonzero()[0].tolist() == list(range(20, 40))
    assert green.any(axis=0).nonzero()[0].tolist() == list(range(20, 60))
    assert not green[25:35, 25:55].any()


def test_an_outline_is_the_rim_also_at_the_images_edge():
    inside = np.zeros((6, 6), dtype=np.bool_)
    inside[:4, 1:6] = True
    expected = inside.copy()
    expected[1:3, 2:5] = False
    np.testing.assert_array_equal(outline(inside), expected)


def test_large_images_are_brought_down():
    assert brought_down(np.zeros((10, 2 * LONGEST, 3), np.uint8)).shape == (5, LONGEST, 3)
