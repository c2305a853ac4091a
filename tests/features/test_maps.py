"""The layout of flat rows: round trips, and where each value lies."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ahl.features.maps import FeatureLayout, pool_rows

SIDE = st.integers(1, 5)


@st.composite
def layouts(draw):
    channels = draw(st.integers(1, 5))
    sizes = draw(st.lists(st.tuples(SIDE, SIDE), min_size=1, max_size=3))
    return FeatureLayout(tuple((channels, height, width) for height, width in sizes))


LEADING = st.lists(st.integers(0, 3), max_size=3).map(tuple)


def numbered(*shape):
    return torch.arange(int(np.prod(shape)), dtype=torch.float32).reshape(shape)


@given(layout=layouts(), leading=LEADING)
def test_join_undoes_split(layout, leading):
    rows = numbered(*leading, layout.row_size)
    maps = layout.split(rows)
    assert [m.shape for m in maps] == [(*leading, *scale) for scale in layout.scales]
    assert torch.equal(layout.join(maps), rows)


@given(layout=layouts(), leading=LEADING)
def test_split_undoes_join(layout, leading):
    maps = [numbered(*leading, *scale) + 1000 * i for i, scale in enumerate(layout.scales)]
    rows = layout.join(maps)
    assert rows.shape == (*leading, layout.row_size)
    for ours, original in zip(layout.split(rows), maps, strict=True):
        assert torch.equal(ours, original)


@given(layout=layouts())
def test_layout_is_read_off_maps(layout):
    assert FeatureLayout.of([torch.zeros(2, *scale) for scale in layout.scales]) == layout
    assert FeatureLayout.of([torch.zeros(scale) for scale in layout.scales]) == layout


def test_rows_hold_scale_by_scale_position_by_position():
    layout = FeatureLayout(((3, 4, 5), (3, 2, 1)))
    row = numbered(layout.row_size)
    maps = layout.split(row)
    place = 0
    for scale, (channels, height, width) in zip(maps, layout.scales, strict=True):
        for y in range(height):
            for x in range(width):
                for c in range(channels):
                    assert scale[c, y, x] == row[place]
                    place += 1
    assert place == layout.row_size == 3 * 4 * 5 + 3 * 2 * 1


def test_split_does_not_copy():
    layout = FeatureLayout(((2, 3, 3), (2, 2, 2)))
    rows = torch.zeros(4, layout.row_size)
    maps = layout.split(rows)
    rows[1] = 7.0
    assert all((scale[1] == 7.0).all() and (scale[0] == 0.0).all() for scale in maps)


def test_split_takes_rows_that_do_not_lie_side_by_side():
    layout = FeatureLayout(((2, 3, 2), (2, 1, 2)))
    rows = numbered(layout.row_size, 4)
    for ours, expected in zip(layout.split(rows.T), layout.split(rows.T.contiguous()), strict=True):
        assert torch.equal(ours, expected)


@pytest.mark.parametrize(
    "scales", [(), ((3, 2),), ((3, 0, 2),), ((3, 2, 2), (4, 1, 1)), ((3, 2, 2, 1),)]
)
def test_impossible_layouts_are_refused(scales):
    with pytest.raises(ValueError, match=r"layout|channels"):
        FeatureLayout(scales)


def test_pooled_rows_are_the_means_of_each_scale_side_by_side():
    layout = FeatureLayout(((2, 3, 4), (2, 1, 2)))
    maps = [np.random.default_rng(i).normal(size=(5, *s)) for i, s in enumerate(layout.scales)]
    pooled = pool_rows(layout.join([torch.from_numpy(m) for m in maps]), layout)
    expected = np.empty((5, 4))
    for n in range(5):
        for i, scale in enumerate(maps):
            for c in range(2):
                expected[n, 2 * i + c] = np.mean([v for row in scale[n, c] for v in row])
    np.testing.assert_allclose(pooled.numpy(), expected, rtol=1e-12)
