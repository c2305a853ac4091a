"""Tiles: every position once, from the tile that sees it best; no seams."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ahl._common.errors import ConfigurationError
from ahl.features.tiles import TOGETHER, tiled_map, windows
from tiny import TinyBackbone


class Fine(TinyBackbone):
    """Says that its stride is 8."""

    multiple = 16


@given(
    stride=st.sampled_from([8, 14, 32]),
    positions=st.integers(1, 140),
    tile=st.integers(4, 20),
)
def test_windows_make_up_the_axis_and_keep_away_from_inner_edges(stride, positions, tile):
    length, side = positions * stride, tile * stride
    found = windows(length, side, stride)
    assert [p for one in found for p in range(one.first, one.last)] == list(range(positions))
    if length <= side:
        assert len(found) == 1
    for one in found:
        assert 0 <= one.start < one.stop <= length
        assert one.stop - one.start == min(side, length)
        assert one.start % stride == 0
        if one.start:
            assert one.first * stride >= one.start + stride
        if one.stop < length:
            assert one.last * stride <= one.stop - stride


@pytest.mark.parametrize("size", [(96, 96), (64, 256), (40, 40), (200, 64)], ids=str)
def test_tiles_of_a_backbone_that_looks_nearby_leave_no_seam(size):
    backbone = Fine()
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(tiled_map(backbone, images, 48), backbone(images))


def test_a_backbone_of_another_stride_is_refused_in_words():
    with pytest.raises(ConfigurationError, match=r"16 x 16 for tiles of 128.*expected 4 x 4"):
        tiled_map(TinyBackbone(), torch.zeros(1, 3, 256, 256), 128)


def test_the_backbone_sees_a_few_tiles_at_a_time(monkeypatch):
    backbone, seen = Fine().eval(), []
    monkeypatch.setattr(
        Fine,
        "forward",
        lambda self, images: seen.append(images.shape) or torch.zeros(len(images), 1, 6, 6),
    )
    tiled_map(backbone, torch.zeros(3, 3, 96, 96), 48)
    assert sum(len_ for len_, *_ in seen) == 3 * 9
    assert max(len_ for len_, *_ in seen) == TOGETHER
    assert {tuple(shape[2:]) for shape in seen} == {(48, 48)}
