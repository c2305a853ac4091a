"""Any material: textures and structures, alone or laid over each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from ahl.synthetic.canvas import Canvas, Material, Picture, step
from ahl.synthetic.marks import Mask
from ahl.synthetic.structures import fractal, phantom, printed
from ahl.synthetic.textures import brushed, cells, clouds, lattice, leaves

Family = Callable[[Canvas, np.random.Generator], Material]

TEXTURES: Final[tuple[Family, ...]] = (clouds, lattice, leaves, cells, brushed)
"""The families that look alike everywhere."""


def part(canvas: Canvas, random: np.random.Generator) -> Material:
    """A printed part on plain colour or on a texture."""
    ground = draw_texture(canvas, random) if random.random() < 0.5 else None
    return printed(canvas, random, ground)


def layered(canvas: Canvas, random: np.random.Generator) -> Material:
    """Two textures mixed, multiplied, in patches, or one through the pattern of a lattice."""
    first, second = draw_texture(canvas, random), draw_texture(canvas, random)
    pattern = lattice(canvas, random)
    way, share = random.choice(["mix", "shade", "patches", "pattern"]), random.uniform(0.2, 0.8)
    bumps = int(random.integers(2, 8))

    def draw(random: np.random.Generator) -> Picture:
        a, b = first(random), second(random)
        if way == "shade":
            both: Picture = np.clip(1.8 * a * b, 0, 1)
            return both
        mask: Mask
        if way == "mix":
            mask = np.full((1, 1, 1), share)
        elif way == "patches":
            mask = step(8 * canvas.cloud(random, bumps))[..., None]
        else:
            mask = pattern(random).mean(axis=-1, keepdims=True)
            mask = (mask - mask.min()) / (np.ptp(mask) + 1e-6)
        picture: Picture = a * mask + b * (1 - mask)
        return picture

    return draw


FAMILIES: Final[dict[Family, int]] = {
    clouds: 2,
    lattice: 2,
    leaves: 2,
    cells: 1,
    brushed: 1,
    fractal: 1,
    part: 3,
    phantom: 4,
    layered: 2,
}
"""Every family, and how often it is drawn beside the others."""


def draw_family(random: np.random.Generator) -> Family:
    """A random family."""
    families = [family for family, times in FAMILIES.items() for _ in range(times)]
    return families[random.integers(len(families))]


def draw_texture(canvas: Canvas, random: np.random.Generator) -> Material:
    """A material that looks alike everywhere."""
    return TEXTURES[random.integers(len(TEXTURES))](canvas, random)
