"""A square to draw on: its coordinates, and the noise that everything drawn is made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from ahl.errors import ConfigurationError

Field = NDArray[np.floating[Any]]
"""(S, S), one number a pixel."""

Picture = NDArray[np.floating[Any]]
"""(S, S, 3), about 0..1; what is outside is clipped when it is photographed."""

Material = Callable[[np.random.Generator], Picture]
"""Something that is drawn again and again, never twice the same: a fabric, a kind of part."""


SMALLEST = 64
"""Side in pixels: the largest defects fit in."""


class Canvas:
    """A square of pixels.

    Args:
        size: side S in pixels, at least 64.

    Attributes:
        x: (S, S) column of each pixel.
        y: (S, S) row of each pixel.

    Raises:
        ConfigurationError: if it is too small for what is drawn on it.
    """

    def __init__(self, size: int) -> None:
        if size < SMALLEST:
            raise ConfigurationError(
                f"Pictures are drawn at {SMALLEST} pixels or more, not {size}."
            )
        self.size = size
        self.y, self.x = np.mgrid[0:size, 0:size].astype(np.float32)
        self._down = np.fft.fftfreq(size).astype(np.float32)[:, None]
        self._across = np.fft.rfftfreq(size).astype(np.float32)[None]

    def cloud(self, random: np.random.Generator, cells: int) -> Field:
        """Smooth noise of about `cells` bumps along a side, mean 0, spread about 1."""
        coarse = random.standard_normal((cells + 3, cells + 3), dtype=np.float32)
        side = round((cells + 3) / cells * self.size)
        smooth = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        top, left = random.integers(0, side - self.size + 1, 2)
        window = np.asarray(smooth)[top : top + self.size, left : left + self.size]
        # Interpolation averages the noise; 0.7 is what is left of its spread.
        bumps: Field = window / np.float32(0.7)
        return bumps

    def noise(
        self,
        random: np.random.Generator,
        *,
        fall: float,
        lowest: float = 0.01,
        highest: float = 0.5,
        angle: float = 0.0,
        stretch: float = 1.0,
    ) -> Field:
        """Noise of a given spectrum, mean 0, spread 1; it wraps around.

        Args:
            random: source of the noise.
            fall: amplitude falls with this power of the frequency.
            lowest: frequencies below fade, in cycles a pixel.
            highest: frequencies above fade.
            angle: along which it is drawn out, in radians.
            stretch: how much, 1 for not at all.
        """
        spectrum = np.fft.rfft2(random.standard_normal((self.size, self.size), dtype=np.float32))
        along = np.cos(angle) * self._across + np.sin(angle) * self._down
        aside = np.cos(angle) * self._down - np.sin(angle) * self._across
        frequency = np.sqrt(along**2 * stretch + aside**2 / stretch) + 1e-4
        amplitude = frequency**-fall * np.exp(-((frequency / highest) ** 4))
        amplitude *= 1 - np.exp(-((frequency / lowest) ** 4))
        field = np.fft.irfft2(spectrum * amplitude, s=(self.size, self.size)).astype(np.float32)
        noise: Field = (field - field.mean()) / (field.std() + 1e-6)
        return noise

    def turned(self, angle: float) -> tuple[Field, Field]:
        """Coordinates (u, v) along and aside of a direction, in pixels."""
        cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        return cosine * self.x + sine * self.y, cosine * self.y - sine * self.x


@lru_cache(maxsize=4)
def canvas_of(size: int) -> Canvas:
    """The canvas of a size, made once."""
    return Canvas(size)


def step(values: Field, softness: float = 1.0) -> Field:
    """A soft step (logistic) from 0 to 1 around 0, some `softness` wide."""
    ramp: Field = 1 / (1 + np.exp(-np.clip(values / softness, -30, 30)))
    return ramp


def blurred(picture: Picture, radius: float) -> Picture:
    """A picture, clipped to 0..1, through a Gaussian of `radius` pixels."""
    image = Image.fromarray(to_bytes(picture)).filter(ImageFilter.GaussianBlur(float(radius)))
    smooth: Picture = np.asarray(image, dtype=np.float32) / np.float32(255)
    return smooth


def to_bytes(picture: Field) -> NDArray[np.uint8]:
    """0..1 to 0..255, clipped."""
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def log_uniform(random: np.random.Generator, low: float, high: float) -> float:
    """A number whose logarithm is uniform."""
    return float(np.exp(random.uniform(np.log(low), np.log(high))))
