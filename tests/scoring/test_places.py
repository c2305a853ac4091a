"""Places that stand out: the scale of colours, and boxes."""

import numpy as np
import pytest

from ahl.scoring.places import MOST, Colouring, resized_heat, strongest_places, where_in_words

BOUNDS = (1.0, 4.0)


def heat_with(*spots, shape=(40, 60)):
    heat = np.zeros(shape, dtype=np.float32)
    for rows, columns, value in spots:
        heat[rows, columns] = value
    return heat


def test_boxes_are_shares_of_the_image_strongest_first():
    heat = heat_with((slice(4, 8), slice(6, 12), 5.0), (slice(30, 40), slice(57, 60), 9.0))
    first, second = strongest_places(heat, BOUNDS)
    assert first.box == (0.75, 0.95, 1.0, 1.0)
    assert second.box == (0.1, 0.1, 0.2, 0.2)
    assert (first.heat, second.heat) == (9.0, 5.0)
    assert second.to_json() == {"box": second.box, "heat": 5.0}


def test_what_is_less_than_half_red_is_not_outlined_beside_stronger_places():
    heat = heat_with((slice(4, 8), slice(6, 12), 2.4), (slice(30, 34), slice(50, 54), 2.6))
    assert [place.heat for place in strongest_places(heat, BOUNDS)] == [
        pytest.approx(2.6),
        pytest.approx(2.4),
    ], "both stand out where 2.6 is the most there is"
    heat[20, 20] = 9.0
    assert [place.heat for place in strongest_places(heat, BOUNDS)] == [
        9.0,
        pytest.approx(2.6),
    ], "2.5 is half of the scale"


@pytest.mark.parametrize("peak", [0.1, 0.9, 1.1, 1.8, 4.0, 50.0])
@pytest.mark.parametrize("bounds", [BOUNDS, None])
def test_the_strongest_place_is_always_one(peak, bounds):
    heat = heat_with((slice(10, 14), slice(30, 36), peak))
    (place,) = strongest_places(heat, bounds)
    assert place.box == (0.25, 0.5, 0.35, 0.6)
    colouring = Colouring.of(heat, bounds)
    assert colouring.low <= colouring.level < peak
    assert colouring.by_model == (bounds is None or peak > 1.75)
    assert colouring.shares(heat).max() > 0.25


def test_where_in_words():
    strong = heat_with((slice(14, 18), slice(50, 56), 9.0))
    assert where_in_words(strong, BOUNDS) == "Red: evidence, strongest at the middle right."
    assert where_in_words(strong / 9, BOUNDS) == (
        "No place stands out clearly. Blue: the highest values, at the middle right."
    )
    assert where_in_words(heat_with() + 0.5, BOUNDS) == "No place stands out."


def test_a_flat_map_has_none_and_one_that_is_strong_everywhere_is_one():
    assert strongest_places(heat_with(), BOUNDS) == []
    assert strongest_places(heat_with() + 0.5, None) == []
    (whole,) = strongest_places(heat_with() + 9, BOUNDS)
    assert whole.box == (0.0, 0.0, 1.0, 1.0)


def test_large_maps_are_counted_in_cells_and_many_places_cut_off():
    heat = np.zeros((1000, 1500), dtype=np.float32)
    heat[::100, ::100] = 9.0
    heat[999, 1499] = 99.0
    places = strongest_places(heat, BOUNDS)
    assert len(places) == MOST
    assert places[0].box[2:] == (1.0, 1.0)
    assert places[0].box[0] > 0.98


def test_a_map_takes_its_images_size():
    resized = resized_heat(heat_with((slice(0, 20), slice(0, 60), 2.0)), (80, 30))
    assert resized.shape == (80, 30)
    assert resized.dtype == np.float32
    assert (resized[0, 0], resized[-1, -1]) == (2.0, 0.0)
