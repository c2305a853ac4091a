"""Lighting and camera: what a picture goes through before anybody sees it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ahl.synthetic.canvas import Canvas, Picture, blurred, to_bytes

Camera = Callable[[Picture, np.random.Generator], NDArray[np.uint8]]
"""Photographs a picture (S, S, 3): uint8, a little different each time."""


def draw_camera(canvas: Canvas, random: np.random.Generator) -> Camera:
    """A camera in its place: its exposure, sharpness and noise stay, the light wavers."""
    contrast = random.uniform(0.35, 1.0)
    brightness = random.uniform(0, 1 - contrast)
    radius, noise = random.choice([0, 0, 0.6, 1.0, 1.6]), random.choice([0, 0.01, 0.02, 0.05])
    grey = random.random() < 0.35
    slope, waver = random.uniform(0, 0.25), random.uniform(0, 0.12)
    across, down = canvas.x / canvas.size - 0.5, canvas.y / canvas.size - 0.5

    def shoot(picture: Picture, random: np.random.Generator) -> NDArray[np.uint8]:
        picture = np.clip(picture, 0, 1) * np.float32(contrast) + np.float32(brightness)
        if grey:
            picture = np.repeat(picture.mean(axis=-1, keepdims=True), 3, axis=-1)
        angle = random.uniform(0, 2 * np.pi)
        light = 1 + 2 * slope * random.random() * (np.cos(angle) * across + np.sin(angle) * down)
        picture = picture * (light * (1 + waver * random.normal()))[..., None].astype(np.float32)
        picture = picture + np.float32(0.5 * waver * random.normal())
        if radius:
            picture = blurred(picture, radius * random.uniform(0.8, 1.2))
        if noise:
            channels = 1 if grey else 3
            grain = random.standard_normal((*picture.shape[:2], channels), dtype=np.float32)
            picture = picture + np.float32(noise) * grain
        return to_bytes(picture)

    return shoot
