"""The resize of `ahl.data.images.reading` by Pillow, in tensor operations that a graph can hold."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from ahl._common.types import ImageSize

_BITS: Final = 22
"""Of Pillow's weights behind the point (`Resample.c`, 8 bits a channel)."""

_UNIT: Final = 2.0 ** (_BITS // 2)


def other_size(size: ImageSize) -> ImageSize:
    """A size to trace a resize with: no side of it is taken for another, or for one of `size`."""
    return size[0] + 3, size[0] + size[1] + 5


def resize_like_pillow(images: Tensor, size: ImageSize) -> Tensor:
    """Resize as `resize_pixels` does: first the width, then the height, each rounded to uint8.

    Args:
        images: (N, H, W, 3), uint8.
        size: height and width.

    Returns:
        (N, *size, 3), uint8.
    """
    columns = _weights(images.shape[2], size[1])
    narrow = _rounded(torch.einsum("nhwc,sw->nhsc", images.double(), columns))
    rows = _weights(images.shape[1], size[0])
    return _rounded(torch.einsum("nhsc,th->ntsc", narrow.double(), rows))


def _weights(length: int, side: int) -> Tensor:
    """(side, length) weights of pixels, whole numbers in double precision: sums are exact.

    A triangle over the distance |j + 0.5 - (i + 0.5) length / side|, as wide as a new pixel and at
    least as wide as an old one; times 2 side, all of it is whole.
    """
    heights = _triangles(length, side)
    total = heights.sum(dim=1, keepdim=True)
    weights: Tensor = (heights * 2 ** (_BITS + 1) + total) // (2 * total)
    return weights.double()


def _triangles(length: int, side: int) -> Tensor:
    """(side, length) the same before each row has the sum 1, times 2 side: whole numbers."""
    old = 2 * torch.arange(length) + 1
    new = 2 * torch.arange(side) + 1
    width = 2 * torch.sym_max(side, length)
    apart: Tensor = (old * side - (new * length).unsqueeze(1)).abs()
    heights: Tensor = (width - apart).clamp_min(0)  # type: ignore[union-attr]
    return heights


def _rounded(sums: Tensor) -> Tensor:
    whole: Tensor = ((sums + 2 ** (_BITS - 1)) / 2**_BITS).floor()
    return whole.clamp(0, 255).to(torch.uint8)


class SingleResize(nn.Module):
    """The same for runtimes that have neither double precision nor 64-bit integers.

    Each weight of 22 bits is a high and a low half of 11: sums of single-precision products with
    either are exact, up to 32 pixels for the low one.

    Args:
        size: height and width.
    """

    def __init__(self, size: ImageSize) -> None:
        super().__init__()
        self.size = size

    def forward(self, images: Tensor) -> Tensor:
        """Resize images (N, H, W, 3), uint8, to (N, *size, 3), uint8."""
        high, low = _halves(images.shape[2], self.size[1])
        pixels = images.float()
        narrow = _joined(
            torch.einsum("nhwc,sw->nhsc", pixels, high), torch.einsum("nhwc,sw->nhsc", pixels, low)
        )
        high, low = _halves(images.shape[1], self.size[0])
        small = _joined(
            torch.einsum("nhsc,th->ntsc", narrow, high), torch.einsum("nhsc,th->ntsc", narrow, low)
        )
        return small.to(torch.uint8)


def _halves(length: int, side: int) -> tuple[Tensor, Tensor]:
    """(side, length) high and low halves of `_weights`; exact up to 4096 pixels."""
    heights = _triangles(length, side).float()
    total = heights.sum(dim=1, keepdim=True)
    high = (heights * _UNIT / total).floor()
    # If that is one too many or too few, this half makes up for it.
    low = ((heights * _UNIT - high * total) / total * _UNIT + 0.5).floor()
    return high, low


def _joined(high: Tensor, low: Tensor) -> Tensor:
    """Pixels, rounded, of the sums with both halves; no number is larger than 2**24."""
    whole = (high / _UNIT).floor()
    rest = (high - whole * _UNIT) * _UNIT + low
    rounded: Tensor = whole + ((rest + _UNIT * _UNIT / 2) / (_UNIT * _UNIT)).floor()
    return rounded.clamp(0, 255)
