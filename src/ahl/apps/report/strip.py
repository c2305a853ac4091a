"""Where scores go on a strip chart: one axis for any scale, dots that do not hide others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

_SQUASHED: Final = 8.0
"""The axis is compressed once it spans this many times the middle 90 % of the scores."""

_FURTHEST: Final = 6.0
"""End of a compressed axis: about 200 spreads from the middle."""

_LARGEST: Final = 1e290
_SMALLEST: Final = 1e-290
"""Within these, differences and ratios of scores neither overflow nor vanish."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """Maps scores to positions in [0, 1], never changing their order.

    Attributes:
        compressed: whether far scores are drawn closer (an inverse hyperbolic sine).
        centre: middle of the compression.
        spread: scores this close to the centre keep their distances.
        low: left end, after compression.
        high: right end, after compression; above `low`.
    """

    compressed: bool
    centre: float
    spread: float
    low: float
    high: float

    def place(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Positions in [0, 1], same shape as the scores; beyond an end means on that end."""
        return np.asarray(np.clip(self._position(_tame(scores)), 0.0, 1.0))

    def ticks(self) -> list[tuple[float, str]]:
        """Positions in [0, 1] and labels of round scores, left to right."""
        from matplotlib.ticker import MaxNLocator

        if self.compressed:
            ends = np.linspace(self.low, self.high, 7)
            values = np.sinh(ends) * self.spread + self.centre
            # Round to what a reader needs to tell neighbours apart.
            values = np.unique([float(f"{value:.1e}") for value in values])
        else:
            inner = MaxNLocator(nbins=8, steps=[1, 2, 2.5, 5, 10])
            values = np.asarray(inner.tick_values(self.low, self.high))
        places = self._position(values)
        inside = (places >= 0) & (places <= 1)
        return list(zip(places[inside].tolist(), _labels(values[inside]), strict=True))

    def _position(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.compressed:
            values = _compress(values, self.centre, self.spread)
        return (values - self.low) / (self.high - self.low)


def make_axis(scores: ArrayLike) -> Axis:
    """Choose an axis on which a few far scores do not squash all others into a line.

    Args:
        scores: (n,), finite, of any magnitude; may be empty or all equal.

    Returns:
        A linear axis, or a compressed one where a linear one would be all gap.
    """
    values = _tame(scores)
    values = values if len(values) else np.zeros(1)
    low, high = float(values.min()), float(values.max())
    near, centre, far = (float(q) for q in np.quantile(values, (0.05, 0.5, 0.95)))
    spread = far - near
    compressed = spread > 0 and high - low > _SQUASHED * spread
    if compressed:
        ends = _compress(np.array([low, high]), centre, spread)
        low, high = (float(end) for end in np.clip(ends, -_FURTHEST, _FURTHEST))
    margin = 0.03 * (high - low)
    if margin <= 1e-12 * max(abs(low), abs(high), 1e-300):
        margin = 0.5 * max(abs(low), 1.0)
    return Axis(
        compressed=compressed,
        centre=centre,
        spread=spread,
        low=low - margin,
        high=high + margin,
    )


def swarm(positions: NDArray[np.float64], dot: float, room: float) -> NDArray[np.float64]:
    """Push dots that would lie on one another apart, up and down in turns.

    Args:
        positions: (n,), along the strip, in pixels.
        dot: diameter of a dot, in pixels.
        room: height of the strip, in pixels; dots draw closer rather than leave it.

    Returns:
        (n,), distance from the middle of the strip, in pixels, within half the room.
    """
    if not len(positions):
        return np.zeros(0)
    cells = np.floor(positions / dot).astype(np.int64)
    order = np.argsort(cells, kind="stable")
    in_order = cells[order]
    first = np.searchsorted(in_order, in_order)  # where each one's cell begins
    turn = np.arange(len(cells)) - first
    away = (turn + 1) // 2 * np.where(turn % 2 == 0, 1, -1)
    step = min(dot, (room - dot) / 2 / max(int(np.abs(away).max()), 1))
    offsets = np.empty(len(cells))
    offsets[order] = away * step
    return offsets


def _tame(scores: ArrayLike) -> NDArray[np.float64]:
    values = np.clip(np.asarray(scores, dtype=np.float64), -_LARGEST, _LARGEST)
    return np.where(np.abs(values) < _SMALLEST, 0.0, values)


def _compress(values: NDArray[np.float64], centre: float, spread: float) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):  # an infinite position ends on the end of the axis
        return np.asarray(np.arcsinh((values - centre) / spread))


def short_number(value: float, digits: int = 3) -> str:
    """A number to that many significant digits, with an exponent only where it helps."""
    rounded = float(f"{value:.{digits}g}")
    if rounded == 0 or 1e-3 <= abs(rounded) < 1e6:
        return np.format_float_positional(rounded + 0.0, trim="-")
    return f"{value:.{digits}g}"


def _labels(values: NDArray[np.float64]) -> list[str]:
    """The shortest labels that differ wherever the values do."""
    labels: list[str] = []
    for digits in range(3, 18):
        labels = [short_number(value, digits) for value in values.tolist()]
        if len(set(labels)) == len(values):
            break
    return labels
