"""Structures: materials with parts at places of their own, such as printed boards and organs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ahl.synthetic.canvas import Canvas, Field, Material, Picture, log_uniform, step
from ahl.synthetic.colours import draw_palette, paint, to_rgb


def fractal(canvas: Canvas, random: np.random.Generator) -> Material:
    """The attractor of an iterated function system (Kataoka et al., FractalDB, ACCV 2020)."""
    count = int(random.integers(2, 6))
    left, sizes, right = np.linalg.svd(random.uniform(-1, 1, (count, 2, 2)))
    matrices = left * np.clip(sizes, 0.15, 0.85)[:, None] @ right
    shifts = random.uniform(-1, 1, (count, 2))
    weights = np.abs(np.linalg.det(matrices)) + 0.05
    weights /= weights.sum()
    palette = draw_palette(random, int(random.integers(2, 5)))
    ink, copies = random.uniform(0.3, 1), int(random.integers(1, 6))
    size = canvas.size

    def place(random: np.random.Generator) -> tuple[NDArray[np.float64], float, float]:
        if copies == 1:
            return size / 2 + random.normal(0, 0.03 * size, 2), random.normal(0, 0.1), 0.22
        return random.uniform(0.2, 0.8, 2) * size, random.uniform(0, 7), random.uniform(0.06, 0.16)

    def draw(random: np.random.Generator) -> Picture:
        points = np.zeros((6000, 2))
        for _ in range(18):
            chosen = random.choice(count, len(points), p=weights)
            points = np.einsum("nij,nj->ni", matrices[chosen], points) + shifts[chosen]
        points = (points - points.mean(axis=0)) / (points.std(axis=0) + 1e-6)
        hits = np.zeros(size * size)
        for _ in range(copies):
            middle, turn, scale = place(random)
            c, s = np.cos(turn), np.sin(turn)
            pixels = (points @ (scale * size * np.array([[c, s], [-s, c]])) + middle).astype(int)
            column, row = pixels[((pixels >= 0) & (pixels < size)).all(axis=1)].T
            hits += np.bincount(row * size + column, minlength=size * size)
        return paint(palette, np.tanh(ink * hits.reshape(size, size)))

    return draw


@dataclass(frozen=True)
class _Mark:
    """One shape of a printed part, in pixels."""

    shape: str
    x: float
    y: float
    width: float
    height: float
    line: int
    angle: float
    colour: tuple[int, int, int]


def printed(
    canvas: Canvas, random: np.random.Generator, ground: Material | None = None
) -> Material:
    """A fixed arrangement of shapes, like a board, a part or a label, put down a little askew.

    Args:
        canvas: to draw on.
        random: of the arrangement.
        ground: what shimmers through; None for plain colour.
    """
    size = canvas.size
    palette = draw_palette(random, int(random.integers(3, 7)))
    marks = []
    grid = random.integers(6, 30) if random.random() < 0.5 else 0
    for _ in range(random.integers(4, 40)):
        x, y = random.uniform(0, size, 2)
        if grid:
            x, y = np.round(x / grid) * grid, np.round(y / grid) * grid
        marks.append(
            _Mark(
                shape=str(random.choice(["box", "disc", "ring", "frame", "track", "arc"])),
                x=x,
                y=y,
                width=log_uniform(random, 3, 50),
                height=log_uniform(random, 3, 50),
                line=int(random.integers(1, 4)),
                angle=random.uniform(0, 360),
                colour=to_rgb(palette[random.integers(len(palette))]),
            )
        )
    back = to_rgb(palette[random.integers(len(palette))])
    shimmer = random.uniform(0.1, 0.5)
    turn, shift = random.choice([0, 0, 1, 7]), random.choice([1, 3, 10])

    def draw(random: np.random.Generator) -> Picture:
        finer = 2  # drawn at twice the size, for smooth edges
        image = Image.new("RGB", (size * finer, size * finer), back)
        pen = ImageDraw.Draw(image)
        right, down = random.normal(0, shift, 2)
        for mark in marks:
            _put(pen, mark, right, down, finer, size)
        small = image.resize((size, size), Image.Resampling.BOX)
        if turn:
            askew = random.normal(0, turn)
            small = small.rotate(askew, Image.Resampling.BILINEAR, fillcolor=back)
        picture: Picture = np.asarray(small, dtype=np.float32) / np.float32(255)
        if ground is not None:
            picture = picture * np.float32(1 - shimmer) + np.float32(shimmer) * ground(random)
        return picture

    return draw


def _put(
    pen: ImageDraw.ImageDraw, mark: _Mark, right: float, down: float, finer: int, size: int
) -> None:
    x, y, w, h = mark.x + right, mark.y + down, mark.width / 2, mark.height / 2
    box = [(x - w) * finer, (y - h) * finer, (x + w) * finer, (y + h) * finer]
    line = mark.line * finer
    if mark.shape == "box":
        pen.rectangle(box, fill=mark.colour)
    elif mark.shape == "disc":
        pen.ellipse(box, fill=mark.colour)
    elif mark.shape == "ring":
        pen.ellipse(box, outline=mark.colour, width=line)
    elif mark.shape == "frame":
        pen.rectangle(box, outline=mark.colour, width=line)
    elif mark.shape == "arc":
        pen.arc(box, mark.angle, mark.angle + 200, fill=mark.colour, width=line)
    elif mark.width > mark.height:
        pen.line([(0, y * finer), (size * finer, y * finer)], fill=mark.colour, width=line)
    else:
        pen.line([(x * finer, 0), (x * finer, size * finer)], fill=mark.colour, width=line)


@dataclass(frozen=True)
class _Organ:
    """A soft ellipse, in shares of the side; the first ones of a phantom never move."""

    x: float
    y: float
    width: float
    height: float
    angle: float
    value: float
    fixed: bool

    def varied(self, random: np.random.Generator, amount: float, tone: float) -> _Organ:
        """The same of another individual."""
        if self.fixed:
            return self
        aside, down, wider, higher, turn = amount * random.standard_normal(5)
        return _Organ(
            x=self.x + 0.2 * aside,
            y=self.y + 0.2 * down,
            width=self.width * np.exp(wider),
            height=self.height * np.exp(higher),
            angle=self.angle + turn,
            value=self.value * np.exp(tone * random.standard_normal()),
            fixed=False,
        )

    def inside(self, x: Field, y: Field, softness: float) -> Field:
        """1 in it, 0 out of it."""
        c, s = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        u, v = (x - self.x) * c + (y - self.y) * s, (y - self.y) * c - (x - self.x) * s
        return step(1 - np.hypot(2 * u / self.width, 2 * v / self.height), softness)


def phantom(canvas: Canvas, random: np.random.Generator) -> Material:
    """Soft nested shapes that differ from one individual to the next, as sections of bodies do."""
    brightest, size = random.uniform(0.3, 1), random.uniform(0.6, 0.95)
    organs = []
    for index in range(random.integers(3, 12)):
        body = index < 2
        inner = size * (1 - 0.1 * index)
        organs.append(
            _Organ(
                x=0.5 if body else random.uniform(0.25, 0.75),
                y=0.5 if body else random.uniform(0.25, 0.75),
                width=inner if body else random.uniform(0.05, 0.4),
                height=inner * random.uniform(0.7, 1) if body else random.uniform(0.05, 0.4),
                angle=random.normal(0, 0.1) if body else random.uniform(0, np.pi),
                value=brightest * random.uniform(0.1, 1),
                fixed=body,
            )
        )
    outside, softness = brightest * random.uniform(0, 0.2), random.uniform(0.01, 0.08)
    grain, fall = random.uniform(0.01, 0.12), random.uniform(0.3, 1.5)
    mirrored, bend = random.random() < 0.5, random.uniform(0.01, 0.06)
    amount, tone = random.choice([0, 0.05, 0.15, 0.3]), random.choice([0, 0.05, 0.15])
    missing, zoom = random.choice([0, 0.1, 0.3]), random.choice([0, 0.03, 0.1])
    tint = random.uniform(0.6, 1, 3) if random.random() < 0.3 else np.ones(3)

    def draw(random: np.random.Generator) -> Picture:
        nearer = np.float32(1 + zoom * random.standard_normal())
        x, y = (
            0.5
            + (t / np.float32(canvas.size) - 0.5) * nearer
            + np.float32(bend) * canvas.cloud(random, 3)
            + np.float32(0.3 * zoom * random.standard_normal())
            for t in (canvas.x, canvas.y)
        )
        if mirrored:
            x = 0.5 - np.abs(x - 0.5)
        field = np.full(x.shape, outside, dtype=np.float32)
        for organ in organs:
            if not organ.fixed and random.random() < missing:
                continue
            own = organ.varied(random, amount, tone)
            inside = own.inside(x, y, softness)
            field = field * (1 - inside) + inside * np.float32(own.value)
        field = field + grain * canvas.noise(random, fall=fall)
        picture: Picture = field[..., None] * tint.astype(np.float32)
        return picture

    return draw
