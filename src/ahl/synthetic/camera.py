"""Lighting and camera: what a picture goes through before anybody sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ahl.synthetic.canvas import Canvas, Picture, blurred, to_bytes


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A camera in its place: exposure and noise stay, light and focus waver.

    Attributes:
        contrast: what the picture's values are multiplied by.
        brightness: what is added to them.
        radius: of the blur, in pixels.
        noise: standard deviation.
        grey: whether it sees no colour.
        slope: largest slope of the light over the picture.
        waver: spread of the light from one photograph to the next.
    """

    contrast: float
    brightness: float
    radius: float
    noise: float
    grey: bool
    slope: float
    waver: float

    @classmethod
    def draw(cls, random: np.random.Generator) -> Self:
        """Any camera."""
        contrast = random.uniform(0.35, 1.0)
        return cls(
            contrast=contrast,
            brightness=random.uniform(0, 1 - contrast),
            radius=random.choice([0, 0, 0.6, 1.0, 1.6]),
            noise=random.choice([0, 0.01, 0.02, 0.05]),
            grey=bool(random.random() < 0.35),
            slope=random.uniform(0, 0.25),
            waver=random.uniform(0, 0.12),
        )

    def shoot(
        self, canvas: Canvas, picture: Picture, random: np.random.Generator
    ) -> NDArray[np.uint8]:
        """Photograph a picture (S, S, 3): uint8, a little different each time."""
        picture = np.clip(picture, 0, 1) * self.contrast + self.brightness
        if self.grey:
            picture = np.repeat(picture.mean(axis=-1, keepdims=True), 3, axis=-1)
        angle = random.uniform(0, 2 * np.pi)
        across, down = canvas.x / canvas.size - 0.5, canvas.y / canvas.size - 0.5
        towards = np.cos(angle) * across + np.sin(angle) * down
        light = 1 + 2 * self.slope * random.random() * towards
        picture = picture * (light * (1 + self.waver * random.normal()))[..., None]
        picture = picture + 0.5 * self.waver * random.normal()
        if self.radius:
            picture = blurred(picture, self.radius * random.uniform(0.8, 1.2))
        if self.noise:
            channels = 1 if self.grey else 3
            grain = random.standard_normal((*picture.shape[:2], channels), dtype=np.float32)
            picture = picture + self.noise * grain
        return to_bytes(picture)
