"""A sheet to draw on in pixels, origin at the top left, over matplotlib's objects."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ahl._common.files import written_whole
from ahl._common.printable import printable

INK: Final = "#1f2933"
MUTED: Final = "#66717e"
RULE: Final = "#d5dae0"
SHADE: Final = "#f4f6f8"

_DPI: Final = 100
_FONT: Final = "DejaVu Sans"  # comes with matplotlib: the same letters everywhere


class Sheet:
    """One white picture under construction.

    Args:
        width: in pixels.
        height: in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.width, self.height = width, height
        size = (width / _DPI, height / _DPI)
        self._figure = Figure(figsize=size, dpi=_DPI, facecolor="white", edgecolor="white")
        self._canvas: Any = FigureCanvasAgg(self._figure)
        self._axes = self._figure.add_axes((0.0, 0.0, 1.0, 1.0))
        self._axes.set_axis_off()
        self._axes.set_autoscale_on(False)
        self._axes.set(xlim=(0, width), ylim=(height, 0))

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: float = 15,
        colour: str = INK,
        bold: bool = False,
        align: Literal["left", "center", "right"] = "left",
        room: float | None = None,
    ) -> None:
        """Write one line on the base line `y`; what exceeds `room` pixels is cut in the middle."""
        words = printable(words)
        if room is not None:
            words = self._cut(words, room, size, bold)
        self._axes.text(
            x,
            y,
            words,
            fontsize=size * 72 / _DPI,
            color=colour,
            fontfamily=_FONT,
            fontweight="bold" if bold else "normal",
            ha=align,
            va="baseline",
            parse_math=False,  # a class name may hold a dollar sign
            usetex=False,
        )

    def measure(self, words: str, *, size: float, bold: bool = False) -> float:
        """Width of one line of text, in pixels."""
        from matplotlib.font_manager import FontProperties

        weight = "bold" if bold else "normal"
        font = FontProperties(family=_FONT, weight=weight, size=size * 72 / _DPI)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            renderer = self._canvas.get_renderer()
            return float(renderer.get_text_width_height_descent(words, font, ismath=False)[0])

    def rectangle(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        """Fill a rectangle with its upper left corner at (x, y)."""
        from matplotlib.patches import Rectangle

        self._axes.add_patch(Rectangle((x, y), width, height, facecolor=colour, linewidth=0))

    def line(
        self, xs: Sequence[float], ys: Sequence[float], *, colour: str = RULE, dashed: bool = False
    ) -> None:
        """Draw straight lines through the points."""
        style = (0, (4, 3)) if dashed else "-"
        self._axes.plot(xs, ys, color=colour, linewidth=1.0, linestyle=style, marker="")

    def dots(
        self, xs: ArrayLike, ys: ArrayLike, *, colour: str, size: float, alpha: float, marker: str
    ) -> None:
        """Draw markers of a diameter of `size` pixels at the points (N,)."""
        area = (size * 72 / _DPI) ** 2
        self._axes.scatter(
            xs, ys, s=area, c=colour, marker=marker, alpha=alpha, linewidths=0, zorder=3
        )

    def picture(self, x: int, y: int, pixels: NDArray[np.uint8]) -> None:
        """Place pixels (H, W, 3) unscaled, below all else, upper left corner at (x, y)."""
        below = self.height - y - pixels.shape[0]
        self._figure.figimage(pixels, xo=x, yo=below, origin="upper", zorder=-1)

    def save(self, output: Path) -> None:
        """Write a PNG; the file appears whole or not at all, and the same bytes each time."""
        from PIL import Image

        with warnings.catch_warnings():
            # A letter that the font lacks becomes a box; that is no reason to fail.
            warnings.simplefilter("ignore", UserWarning)
            self._canvas.draw()
        pixels = np.asarray(self._canvas.buffer_rgba())[..., :3]
        with written_whole(output) as unfinished:
            Image.fromarray(pixels).save(unfinished, format="PNG", compress_level=6)

    def _cut(self, words: str, room: float, size: float, bold: bool) -> str:
        """The longest `start…end` of the words that fits into the room."""
        if self.measure(words, size=size, bold=bold) <= room:
            return words
        low, high = 0, len(words) - 1
        while low < high:  # the most letters that fit, by halving
            keep = (low + high + 1) // 2
            if self.measure(_shortened(words, keep), size=size, bold=bold) <= room:
                low = keep
            else:
                high = keep - 1
        return _shortened(words, low)


def _shortened(words: str, keep: int) -> str:
    """`keep` letters of the words, from both ends."""
    tail = keep // 3
    return words[: keep - tail].rstrip() + "…" + (words[-tail:].lstrip() if tail else "")
