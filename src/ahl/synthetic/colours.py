"""Palettes, and fields turned into pictures by them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ahl.synthetic.canvas import Field, Picture

Palette = NDArray[np.float32]
"""(K, 3) in 0..1."""


def draw_palette(random: np.random.Generator, colours: int) -> Palette:
    """Some colours that go together; grey ones in half of the draws, as cameras on lines are."""
    if random.random() < 0.5:
        values = random.random(colours) * random.uniform(0.25, 1)
        values += random.uniform(0, 1 - values.max())
        palette = np.repeat(values[:, None], 3, axis=1)
        if random.random() < 0.5:
            palette = palette * (1 + 0.12 * random.standard_normal(3))
    else:
        spread = random.uniform(0.08, 0.5)
        palette = random.random(3) + spread * random.standard_normal((colours, 3))
    return np.clip(palette, 0, 1).astype(np.float32)


def paint(palette: Palette, field: Field) -> Picture:
    """Colour a field, clipped to 0..1, by the palette's gradient."""
    last = len(palette) - 1
    position = np.clip(field, 0, 1).astype(np.float32) * last
    lower = np.minimum(position.astype(np.intp), last - 1)
    share = (position - lower)[..., None]
    picture: Picture = palette[lower] * (1 - share) + palette[lower + 1] * share
    return picture


def to_rgb(colour: NDArray[np.floating]) -> tuple[int, int, int]:
    """A colour (3,) in 0..1 as Pillow takes it."""
    red, green, blue = (int(255 * value) for value in colour)
    return red, green, blue
