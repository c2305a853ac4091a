"""Textures: materials that look alike everywhere.

Each function draws a material's own constants once and returns what draws the material.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw
from scipy.spatial import cKDTree

from ahl.synthetic.canvas import Canvas, Field, Material, Picture, log_uniform, step
from ahl.synthetic.colours import draw_palette, paint, to_rgb


def clouds(canvas: Canvas, random: np.random.Generator) -> Material:
    """Noise of a power-law spectrum, plain or folded into ridges, contours or islands."""
    fall, lowest = random.uniform(0.3, 2.2), random.choice([0.004, 0.01, 0.03, 0.06])
    highest = float(np.clip(lowest * log_uniform(random, 2, 33), 0.03, 0.5))
    angle = random.uniform(0, np.pi)
    stretch = log_uniform(random, 1, 9) if random.random() < 0.5 else 1.0
    palette = draw_palette(random, int(random.integers(2, 5)))
    fold, waves = random.integers(5), random.uniform(1, 6)
    level, softness = random.uniform(-1, 1), 1 / log_uniform(random, 1, 20)
    contrast = random.uniform(0.3, 1.2)

    def field(random: np.random.Generator, angle: float) -> Field:
        return canvas.noise(
            random, fall=fall, lowest=lowest, highest=highest, angle=angle, stretch=stretch
        )

    def draw(random: np.random.Generator) -> Picture:
        noise = field(random, angle)
        if fold == 0:
            return paint(palette, step(2 * contrast * noise))
        if fold == 1:
            return paint(palette, 1 - 0.6 * contrast * np.abs(noise))
        if fold == 2:
            return paint(palette, 0.5 + 0.5 * np.sin(waves * noise))
        if fold == 3:
            return paint(palette, step(noise - level, softness))
        other = field(random, angle + 1.5)
        return paint(palette, 0.5 * step(contrast * noise) + 0.5 * step(other - level, softness))

    return draw


def lattice(canvas: Canvas, random: np.random.Generator) -> Material:
    """What repeats: stripes, tiles, bricks, dots, waves, weaves, more or less regular."""
    period, ratio = log_uniform(random, 5, 48), np.exp(random.normal(0, 0.4))
    angle = random.uniform(0, np.pi) if random.random() < 0.6 else 0.0
    shear = random.uniform(-0.3, 0.3) if random.random() < 0.3 else 0.0
    pattern = random.choice(["stripes", "tiles", "bricks", "dots", "waves", "scales", "weave"])
    palette = draw_palette(random, int(random.integers(2, 5)))
    warp, bumps = random.choice([0, 0.02, 0.1, 0.3]) * period, int(random.integers(2, 10))
    width, softness = random.uniform(0.08, 0.5), random.uniform(0.02, 0.25)
    grain, fall = random.uniform(0, 0.25), random.uniform(0, 1.5)
    uneven = random.uniform(0, 0.3) if random.random() < 0.4 else 0.0
    along, aside = canvas.turned(angle)
    along = along + shear * aside

    def draw(random: np.random.Generator) -> Picture:
        u, v = along, aside
        if warp:
            u, v = u + warp * canvas.cloud(random, bumps), v + warp * canvas.cloud(random, bumps)
        u, v = u / period + random.random(), v / (period * ratio) + random.random()
        if pattern in ("bricks", "scales"):
            u = u + 0.5 * (np.floor(v) % 2)
        # 0 in the middle of a cell, 1 at its edge.
        a, b = (2 * np.abs(t - np.floor(t) - 0.5) for t in (u, v))
        if pattern == "stripes":
            field = step(a - width, softness)
        elif pattern in ("tiles", "bricks"):
            field = step(np.maximum(a, b) - width, softness)
        elif pattern in ("dots", "scales"):
            field = step(np.hypot(a, b) - width, softness)
        elif pattern == "waves":
            both = (0.5 + 0.5 * np.cos(2 * np.pi * u)) * (0.5 + 0.5 * np.cos(2 * np.pi * v))
            field = step(both - width, softness)
        else:
            above = (np.floor(u) + np.floor(v)) % 2
            field = 1 - (0.4 + width) * np.where(above > 0, a, b) ** 2
        if uneven:
            own = np.sin(12.9898 * np.floor(u) + 78.233 * np.floor(v) + 9 * random.random())
            own = own * 43758.5453
            field = field * (1 - uneven) + uneven * (own - np.floor(own))
        return paint(palette, field + 0.5 * grain * canvas.noise(random, fall=fall))

    return draw


def leaves(canvas: Canvas, random: np.random.Generator) -> Material:
    """Dead leaves: shapes of many sizes on top of each other (Lee, Mumford and Huang, 2001)."""
    palette = draw_palette(random, int(random.integers(3, 8)))
    smallest = log_uniform(random, 2, 10)
    largest = smallest * log_uniform(random, 1.2, 7.4)
    count = int(np.clip(5 * canvas.size**2 / (3 * smallest * largest), 40, 700))
    corners, ragged = int(random.choice([4, 12, *range(3, 8)])), random.random() < 0.25
    stretch = log_uniform(random, 1, 6) if random.random() < 0.6 else 1.0
    angle, spread = random.uniform(0, np.pi), random.choice([0.05, 0.4, 3.2])
    outlined, jitter = random.random() < 0.3, random.uniform(0.02, 0.15)
    base = np.linspace(0, 2 * np.pi, corners, endpoint=False) + np.pi / 4
    outline = np.stack([np.cos(base) * np.sqrt(stretch), np.sin(base) / np.sqrt(stretch)], axis=1)

    def draw(random: np.random.Generator) -> Picture:
        image = Image.new("RGB", (canvas.size, canvas.size), to_rgb(palette[0]))
        pen = ImageDraw.Draw(image)
        # Numbers fall with the cube of the size, as in pictures of the world.
        share = random.random(count)
        radius = (smallest**-2 + share * (largest**-2 - smallest**-2)) ** -0.5
        middle = random.uniform(-largest, canvas.size + largest, (count, 2))
        turn = angle + spread * random.uniform(-1, 1, count)
        colour = palette[random.integers(0, len(palette), count)]
        shade = random.standard_normal((count, 1)) + 0.3 * random.standard_normal((count, 3))
        colour = np.clip(colour + jitter * shade, 0, 1)
        for i in range(count):
            shape = outline * radius[i]
            if ragged:
                shape = shape * (1 + 0.3 * np.sin(3 * base + 7 * turn[i]))[:, None]
            c, s = np.cos(turn[i]), np.sin(turn[i])
            points = middle[i] + shape @ np.array([[c, s], [-s, c]])
            edge = to_rgb(0.25 * palette[-1]) if outlined else None
            pen.polygon(points.ravel().tolist(), fill=to_rgb(colour[i]), outline=edge)
        picture: Picture = np.asarray(image, dtype=np.float32) / np.float32(255)
        return picture

    return draw


def cells(canvas: Canvas, random: np.random.Generator) -> Material:
    """A Voronoi mosaic: grains, crackle, scales, pebbles."""
    count, stretch = int(log_uniform(random, 8, 400)), np.exp(random.normal(0, 0.5))
    palette = draw_palette(random, int(random.integers(2, 6)))
    look = random.choice(["grains", "crackle", "cones", "pebbles"])
    seam, regular = random.uniform(0.02, 0.25), random.random() < 0.3
    grain, warp = random.uniform(0, 0.15), random.choice([0, 0, 2, 5])
    margin = 10
    side = canvas.size + 2 * margin

    def draw(random: np.random.Generator) -> Picture:
        if regular:
            row = max(2, int(np.sqrt(count)))
            grid = np.stack(np.meshgrid(np.arange(row), np.arange(row)), axis=-1).reshape(-1, 2)
            points = (grid + 0.5 + 0.35 * random.uniform(-1, 1, grid.shape)) * side / row - margin
        else:
            points = random.uniform(-margin, canvas.size + margin, (count, 2))
        x, y = canvas.x, canvas.y
        if warp:
            x, y = x + warp * canvas.cloud(random, 8), y + warp * canvas.cloud(random, 8)
        places = np.stack([x.ravel() * stretch, y.ravel()], axis=1)
        distance, nearest = cKDTree(points * [stretch, 1]).query(places, k=2)
        distance = distance.reshape(*x.shape, 2) / np.sqrt(side**2 * stretch / len(points))
        own = random.random(len(points))[nearest[:, 0]].reshape(x.shape)
        inside = np.clip((distance[..., 1] - distance[..., 0]) / seam, 0, 1)
        fields = {
            "grains": own,
            "crackle": 0.8 * inside + 0.2 * own,
            "cones": distance[..., 0],
            "pebbles": own * inside,
        }
        field = fields[look] + grain * canvas.noise(random, fall=1)
        return paint(palette, field)

    return draw


def brushed(canvas: Canvas, random: np.random.Generator) -> Material:
    """Fine noise drawn out in one direction: brushed metal, wood, hair."""
    angle, stretch = random.uniform(0, np.pi), log_uniform(random, 7, 55)
    palette = draw_palette(random, int(random.integers(2, 4)))
    contrast, grain = random.uniform(0.05, 0.4), random.uniform(0, 0.1)
    fall = random.uniform(0.4, 1.5)

    def draw(random: np.random.Generator) -> Picture:
        streaks = canvas.noise(random, fall=fall, lowest=0.004, angle=angle, stretch=stretch)
        fine = random.standard_normal(streaks.shape, dtype=np.float32)
        return paint(palette, 0.5 + contrast * streaks + grain * fine)

    return draw
