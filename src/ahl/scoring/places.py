"""Strongest places of a heat map: the scale of its colouring, and boxes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ahl._common.types import ImageSize

Bounds = tuple[float, float]
"""Heat at which colouring begins, and at which it is full."""

MOST: Final = 10
"""Largest number of places of an image."""

_FAINT: Final = 0.25
"""Share of full red that is hardly visible on most images."""

_ROWS: Final = ("top", "middle", "bottom")
_COLUMNS: Final = ("left", "centre", "right")

_GRID: Final = 96
"""Largest number of cells per side in which boxes are computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A connected area of an image with high heat.

    Attributes:
        box: top, left, bottom and right as shares of the image's height and width, 0 to 1.
        heat: highest heat in the area.
    """

    box: tuple[float, float, float, float]
    heat: float

    def to_json(self) -> dict[str, Any]:
        """The place as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Colouring:
    """The scale on which a heat map is coloured; its strongest place is always visible.

    Attributes:
        low: heat at which colouring begins.
        high: heat at which it is full.
        level: heat above which places are outlined: half-way from `low` to the lower of `high` and
            the map's peak.
        by_model: True if the bounds are the model's, the same for all images (red); False if
            hardly any heat reaches them, and the scale is the map's own (blue).
    """

    low: float
    high: float
    level: float
    by_model: bool

    @classmethod
    def of(cls, heat: NDArray[np.float32], bounds: Bounds | None) -> Colouring:
        """Choose the scale for a heat map.

        Args:
            heat: the heat map (h, w).
            bounds: the model's bounds; None for a model that is not calibrated.
        """
        peak, by_model = float(heat.max()), True
        own = (float(np.median(heat)), peak)
        low, high = bounds or own
        if bounds is not None and peak < low + _FAINT * (high - low):
            (low, high), by_model = own, False
        return cls(low=low, high=high, level=(low + min(high, peak)) / 2, by_model=by_model)

    def shares(self, heat: NDArray[np.float32]) -> NDArray[np.float32]:
        """Strength of the colour at each position of a map (H, W), 0 to 1."""
        shares: NDArray[np.float32] = (heat - self.low) / max(self.high - self.low, 1e-6)
        return shares.clip(0.0, 1.0)


def in_thirds(row: float, column: float) -> str:
    """A point, as shares of height and width, in words: `top left`, `bottom centre`, `centre`."""
    words = f"{_ROWS[min(int(3 * row), 2)]} {_COLUMNS[min(int(3 * column), 2)]}"
    return "centre" if words == "middle centre" else words


def where_in_words(heat: NDArray[np.float32], bounds: Bounds | None) -> str:
    """Sentence that names the strongest place of a heat map (h, w), and its colour."""
    colouring = Colouring.of(heat, bounds)
    if heat.max() <= colouring.level:
        return "No place stands out."
    row, column = (np.argwhere(heat == heat.max())[0] + 0.5) / heat.shape
    where = in_thirds(float(row), float(column))
    if colouring.by_model:
        return f"Red: evidence, strongest at the {where}."
    return f"No place stands out clearly. Blue: the highest values, at the {where}."


def resized_heat(heat: NDArray[np.float32], size: ImageSize) -> NDArray[np.float32]:
    """Resize a heat map (h, w) to another height and width."""
    image = Image.fromarray(heat).resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image)


def strongest_places(heat: NDArray[np.float32], bounds: Bounds | None) -> list[Place]:
    """Find the places that are outlined on an image, the strongest first.

    Args:
        heat: the heat map (h, w).
        bounds: as for `Colouring`.

    Returns:
        at most `MOST` places, and at least one unless the map is constant.
    """
    step = -(-max(heat.shape) // _GRID)
    padding = [(0, -side % step) for side in heat.shape]
    blocks = np.pad(heat, padding, mode="edge")
    rows, columns = (side // step for side in blocks.shape)
    cells = blocks.reshape(rows, step, columns, step).max(axis=(1, 3))
    strong = (cells > Colouring.of(heat, bounds).level).astype(np.uint8)
    numbered, places = Image.fromarray(strong).copy(), list[Place]()
    for cell in np.argsort(-cells, axis=None, kind="stable")[: strong.sum()].tolist():
        row, column = divmod(cell, columns)
        if numbered.getpixel((column, row)) != 1:
            continue
        ImageDraw.floodfill(numbered, (column, row), 2 + len(places))
        own = np.argwhere(np.asarray(numbered) == 2 + len(places))
        ends = np.stack([own.min(axis=0), own.max(axis=0) + 1]) * step / heat.shape
        (top, left), (bottom, right) = ends.clip(0.0, 1.0).round(4).tolist()
        places.append(Place(box=(top, left, bottom, right), heat=float(cells[row, column])))
        if len(places) == MOST:
            break
    return places
