"""Pillow's bilinear resize with antialiasing, in tensor operations that a graph can hold."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

_BITS: Final = 22
"""Of Pillow's weights behind the point (`Resample.c`, 8 bits a channel)."""


def resize_like_pillow(images: Tensor, side: int) -> Tensor:
    """Resize to a square, first the width, then the height, each rounded to uint8.

    Pillow 13 takes the height first where an image is much higher than wide, and then rounds some
    pixels the other way.

    Args:
        images: (N, H, W, 3), uint8.
        side: of the square, in pixels.

    Returns:
        (N, side, side, 3), uint8.
    """
    columns = _weights(images.shape[2], side)
    narrow = _rounded(torch.einsum("nhwc,sw->nhsc", images.double(), columns))
    rows = _weights(images.shape[1], side)
    return _rounded(torch.einsum("nhsc,th->ntsc", narrow.double(), rows))


def _weights(length: int, side: int) -> Tensor:
    """(side, length) weights of pixels, whole numbers in double precision: sums are exact.

    A triangle over the distance |j + 0.5 - (i + 0.5) length / side|, as wide as a new pixel and at
    least as wide as an old one; times 2 side, all of it is whole.
    """
    old = 2 * torch.arange(length) + 1
    new = 2 * torch.arange(side) + 1
    width = 2 * torch.sym_max(side, length)
    apart: Tensor = (old * side - (new * length).unsqueeze(1)).abs()
    heights: Tensor = (width - apart).clamp_min(0)  # type: ignore[union-attr]
    total = heights.sum(dim=1, keepdim=True)
    weights: Tensor = (heights * 2 ** (_BITS + 1) + total) // (2 * total)
    return weights.double()


def _rounded(sums: Tensor) -> Tensor:
    whole: Tensor = ((sums + 2 ** (_BITS - 1)) / 2**_BITS).floor()
    return whole.clamp(0, 255).to(torch.uint8)
