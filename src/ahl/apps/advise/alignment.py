"""Whether two thumbnails show the same photograph: moved onto each other, then correlated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Thumbnail = NDArray[np.float32]
"""(S, S) luminance."""

_FINE, _COARSE = 0.7, 6.0  # band, as standard deviations in pixels: noise and lighting are left out
_LOWEST, _HIGHEST = 0.03, 0.15  # cycles a pixel that are compared; above, re-encoding tells
_STEPS = 8
_MARGIN = 4  # pixels at the edge that a moved image may lack


def band_passed(thumbnails: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, S, S) without the finest and the coarsest detail."""
    from scipy.ndimage import gaussian_filter

    fine = gaussian_filter(thumbnails, (0, _FINE, _FINE), mode="nearest")
    coarse = gaussian_filter(thumbnails, (0, _COARSE, _COARSE), mode="nearest")
    passed: NDArray[np.float32] = fine - coarse
    return passed


@dataclass(frozen=True, eq=False)
class Likeness:
    """Compares images by what sets them apart from all others of their dataset.

    Attributes:
        common: band-passed mean of all images: what parts of one product share.
        weights: of the spatial frequencies: one over how strong each is in all images, so that a
            pattern that all parts have, shifted from one to the next, counts as little as it tells.
    """

    common: Thumbnail
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, thumbnails: NDArray[np.float32], mean: Thumbnail) -> Likeness:
        """Learn what is usual.

        Args:
            thumbnails: (N, S, S) some of the images.
            mean: (S, S) of all images.
        """
        common = band_passed(mean[None])[0]
        power = np.mean([np.abs(_spectrum(one - common)) ** 2 for one in thumbnails], axis=0)
        side = len(common) - 2 * _MARGIN
        frequencies = np.fft.fftfreq(side)
        radius = np.hypot(frequencies[:, None], frequencies[None])
        told = (radius > _LOWEST) & (radius < _HIGHEST) & (power > 0)
        weights = np.zeros_like(power)
        weights[told] = 1 / power[told]
        return cls(common, weights)

    def __call__(self, one: Thumbnail, other: Thumbnail) -> float:
        """Correlation of two band-passed images, once one is moved onto the other.

        Returns:
            -1 to 1; about 1 for copies.
        """
        return max(self._correlation(one, found) for found in (other, _aligned(one, other)))

    def _correlation(self, one: Thumbnail, other: Thumbnail) -> float:
        first, second = _spectrum(one - self.common), _spectrum(other - self.common)
        lengths = float(
            np.sqrt((np.abs(first) ** 2 * self.weights).sum())
            * np.sqrt((np.abs(second) ** 2 * self.weights).sum())
        )
        product = float(((first * second.conj()).real * self.weights).sum())
        return product / lengths if lengths > 0 else 0.0


def _spectrum(image: NDArray[np.float32]) -> NDArray[np.complex128]:
    """Of the inner part, faded out towards its edge."""
    inner = image[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    fade = np.sqrt(np.hanning(len(inner)))
    return np.fft.fft2((inner - inner.mean()) * np.outer(fade, fade))


def _aligned(one: Thumbnail, other: Thumbnail) -> Thumbnail:
    """The other, moved by the affine map that fits best (Lucas and Kanade, 1981)."""
    from scipy.ndimage import map_coordinates

    size = len(one)
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    y, x = (rows - size / 2) / size, (columns - size / 2) / size
    places = np.stack([np.ones_like(x), x, y])
    inner = np.s_[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    shift_y, shift_x = _whole_shift(one, other)
    by_row = np.array([shift_y, 0.0, 0.0])
    by_column = np.array([shift_x, 0.0, 0.0])
    moved = other
    for _ in range(_STEPS):
        at = [rows + np.tensordot(by_row, places, 1), columns + np.tensordot(by_column, places, 1)]
        moved = map_coordinates(other, at, order=1, mode="nearest")
        slope_y, slope_x = np.gradient(moved)
        system = np.concatenate([slope_y * places, slope_x * places])[:, *inner].reshape(6, -1)
        missing = (one - moved)[inner].ravel()
        step = np.linalg.lstsq(system @ system.T, system @ missing, rcond=1e-6)[0]
        by_row, by_column = by_row + step[:3], by_column + step[3:]
        if np.abs(step).max() < 0.01:
            break
    return moved


def _whole_shift(one: Thumbnail, other: Thumbnail) -> tuple[float, float]:
    """By how many whole pixels the other lies off, by cross-correlation."""
    product = np.fft.rfft2(other) * np.conj(np.fft.rfft2(one))
    found = np.fft.irfft2(product, s=one.shape)
    near = np.r_[: _MARGIN + 1, -_MARGIN:0]
    best = np.unravel_index(found[np.ix_(near, near)].argmax(), (len(near), len(near)))
    return float(near[best[0]]), float(near[best[1]])
