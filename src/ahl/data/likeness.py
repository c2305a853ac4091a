"""Likeness of photographs by their thumbnails, to find near-copies among many images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ahl._common.callbacks import Callback
from ahl._common.spacing import evenly_spaced
from ahl.data.pictures import THUMBNAIL

NEAR_COPY = 0.95
"""Likeness from which two images count as one photograph; for its choice see docs/parts.md."""

FEWEST = 10
"""Fewest different images among which near-copies are found, as their mean is subtracted."""

CANDIDATES = 8
"""Number of most similar images that each image is compared with closely."""

_LIKELY = 0.5  # of the coarse descriptors: below, images are not compared closely
_DESCRIBED = 8  # side of a coarse descriptor
_SIMILAR = 16  # images most like a pair whose mean, what their kind looks like, is left out
_ALIGNED = 0.2  # likeness after a shift by whole pixels: below, no finer move is looked for
_LEARNED = 500  # images that show what is usual
_CHUNK = 512  # images compared with all others at once: 20 MB for 10,000
_PLAIN = 3.0  # standard deviation in grey levels below which an image's contrast is noise
_CONTRAST = 40.0  # standard deviation that thumbnails are brought to

_FINE, _COARSE = 0.7, 6.0  # band, as standard deviations in pixels: noise and lighting are left out
_LOWEST, _HIGHEST = 0.03, 0.15  # cycles a pixel that are compared; above, re-encoding shows
_STEPS = 8
_STILL = 0.03  # pixels: a smaller move is the last one
_MARGIN = 4  # pixels at the edge that a moved image may lack
_INNER = np.s_[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]

Thumbnail = NDArray[np.float32]
"""A thumbnail's luminance (S, S)."""

Indices = NDArray[np.int64]


def near_copies(
    thumbnails: NDArray[np.uint8], callback: Callback, *, known: int = 0
) -> list[tuple[int, int, float]]:
    """Find pairs of images that show one photograph.

    Args:
        thumbnails: (N, S, S) luminance. Among fewer than `FEWEST` none are found.
        callback: receives progress.
        known: number of first images that are compared only with the others.

    Returns:
        both indices, the lower first, and the likeness of each pair.
    """
    return [pair for pair in alike(thumbnails, callback, known=known) if pair[2] >= NEAR_COPY]


def alike(
    thumbnails: NDArray[np.uint8], callback: Callback, *, known: int = 0
) -> Iterator[tuple[int, int, float]]:
    """Yield the most similar pairs of images, copies or not, in the form of `near_copies`."""
    if len(thumbnails) < FEWEST:
        return
    mean = _mean_of(thumbnails)
    some = _standardised(thumbnails[evenly_spaced(len(thumbnails), _LEARNED)])
    likeness_of = _Similarity(_band_passed(some - mean))
    found = _candidates(thumbnails, mean, known)
    callback.on_stage("comparing likely copies", 0, len(found))
    for done, (one, other, similar) in enumerate(found, start=1):
        usual = _standardised(thumbnails[similar]).mean(axis=0, keepdims=True)
        both = _standardised(thumbnails[[one, other]])
        likeness = likeness_of(*_band_passed(np.concatenate([both, usual])))
        yield one, other, min(likeness, 1.0)
        callback.on_stage("comparing likely copies", done, len(found))


def _standardised(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Bring thumbnails (N, S, S) to the same brightness and contrast."""
    values = thumbnails.astype(np.float32)
    values -= values.mean(axis=(1, 2), keepdims=True)
    values *= _CONTRAST / np.maximum(values.std(axis=(1, 2), keepdims=True), _PLAIN)
    return values


def _mean_of(thumbnails: NDArray[np.uint8]) -> Thumbnail:
    total = np.zeros(thumbnails.shape[1:], dtype=np.float64)
    for start in range(0, len(thumbnails), _CHUNK):
        total += _standardised(thumbnails[start : start + _CHUNK]).sum(axis=0, dtype=np.float64)
    return (total / len(thumbnails)).astype(np.float32)


def _candidates(
    thumbnails: NDArray[np.uint8], mean: Thumbnail, known: int
) -> list[tuple[int, int, Indices]]:
    """Pairs with similar coarse descriptors, and the images most similar to either of the two."""
    count, side = len(thumbnails), THUMBNAIL // _DESCRIBED
    described = np.empty((count, _DESCRIBED**2), dtype=np.float32)
    for start in range(0, count, _CHUNK):
        part = _standardised(thumbnails[start : start + _CHUNK]) - mean
        blocks = part.reshape(len(part), _DESCRIBED, side, _DESCRIBED, side).mean(axis=(2, 4))
        described[start : start + len(part)] = blocks.reshape(len(part), -1)
    described -= described.mean(axis=1, keepdims=True)
    described /= np.linalg.norm(described, axis=1, keepdims=True) + 1e-6
    nearest, pairs = np.empty((count, min(_SIMILAR + 1, count - 1)), dtype=np.int64), set()
    for start in range(0, count, _CHUNK):
        likeness = described[start : start + _CHUNK] @ described.T
        own = np.arange(len(likeness))
        likeness[own, start + own] = -1.0
        most = nearest.shape[1]
        near = np.argpartition(-likeness, most - 1, axis=1)[:, :most]
        order = np.argsort(-np.take_along_axis(likeness, near, axis=1), axis=1, kind="stable")
        nearest[start : start + len(near)] = near = np.take_along_axis(near, order, axis=1)
        for row in range(max(known - start, 0), len(near)):
            likely = near[row, :CANDIDATES]
            for other in likely[likeness[row, likely] >= _LIKELY]:
                pairs.add((min(start + row, int(other)), max(start + row, int(other))))
    return [
        (one, other, np.setdiff1d(np.union1d(nearest[one], nearest[other]), (one, other)))
        for one, other in sorted(pairs)
    ]


def _band_passed(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Remove the finest and the coarsest detail from images (N, S, S)."""
    from scipy.ndimage import gaussian_filter

    fine = gaussian_filter(images, (0, _FINE, _FINE), mode="nearest")
    coarse = gaussian_filter(images, (0, _COARSE, _COARSE), mode="nearest")
    passed: NDArray[np.float32] = fine - coarse
    return passed


class _Similarity:
    """Compares two images by their differences from the images most similar to them.

    Spatial frequencies are weighted by the inverse of their power over all images, so that a
    pattern that all parts share, shifted from one to the next, counts little.

    Args:
        differences: (N, S, S) band-passed differences of some images from the mean of all.
    """

    def __init__(self, differences: NDArray[np.float32]) -> None:
        power = np.mean([np.abs(_spectrum(one)) ** 2 for one in differences], axis=0)
        frequencies = np.fft.fftfreq(len(power))
        radius = np.hypot(frequencies[:, None], frequencies[None])
        compared = (radius > _LOWEST) & (radius < _HIGHEST) & (power > 0)
        self._weights = np.zeros_like(power)
        self._weights[compared] = 1 / power[compared]

    def __call__(self, one: Thumbnail, other: Thumbnail, usual: Thumbnail) -> float:
        """Correlation of two images after alignment.

        Args:
            one: the first image, band-passed as the others.
            other: the second image.
            usual: mean of the images most similar to them.

        Returns:
            -1 to 1; about 1 for copies.
        """
        first, shift = _spectrum(one - usual), _whole_shift(one, other)
        moved = np.roll(other, (-shift[0], -shift[1]), axis=(0, 1))
        likeness = max(self._correlation(first, _spectrum(o - usual)) for o in (other, moved))
        if likeness < _ALIGNED:
            return likeness
        return max(
            likeness, self._correlation(first, _spectrum(_aligned(one, other, shift) - usual))
        )

    def _correlation(self, first: NDArray[np.complex128], second: NDArray[np.complex128]) -> float:
        lengths = float(
            np.sqrt((np.abs(first) ** 2 * self._weights).sum())
            * np.sqrt((np.abs(second) ** 2 * self._weights).sum())
        )
        product = float(((first * second.conj()).real * self._weights).sum())
        return product / lengths if lengths > 0 else 0.0


def _spectrum(image: Thumbnail) -> NDArray[np.complex128]:
    """Spectrum of the inner part, windowed towards its edge."""
    inner = image[_INNER]
    fade = np.sqrt(np.hanning(len(inner)))
    return np.fft.fft2((inner - inner.mean()) * np.outer(fade, fade))


def _aligned(one: Thumbnail, other: Thumbnail, shift: tuple[int, int]) -> Thumbnail:
    """`other`, aligned to `one` by the best affine map (Lucas and Kanade, 1981)."""
    from scipy.ndimage import map_coordinates

    size = len(one)
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    y, x = (rows - size / 2) / size, (columns - size / 2) / size
    places = np.stack([np.ones_like(x), x, y])
    by_row, by_column = (np.array([by, 0.0, 0.0]) for by in shift)
    moved = other
    for _ in range(_STEPS):
        at = [rows + np.tensordot(by_row, places, 1), columns + np.tensordot(by_column, places, 1)]
        moved = map_coordinates(other, at, order=1, mode="nearest")
        slope_y, slope_x = np.gradient(moved)
        system = np.concatenate([slope_y * places, slope_x * places])[:, *_INNER].reshape(6, -1)
        missing = (one - moved)[_INNER].ravel()
        step = np.linalg.lstsq(system @ system.T, system @ missing, rcond=1e-6)[0]
        by_row, by_column = by_row + step[:3], by_column + step[3:]
        if np.abs(step).max() < _STILL:
            break
    return moved


def _whole_shift(one: Thumbnail, other: Thumbnail) -> tuple[int, int]:
    """Shift of `other` in rows and columns, in whole pixels, by cross-correlation."""
    product = np.fft.rfft2(other) * np.conj(np.fft.rfft2(one))
    found = np.fft.irfft2(product, s=one.shape)
    near = np.r_[: _MARGIN + 1, -_MARGIN:0]
    row, column = divmod(int(found[np.ix_(near, near)].argmax()), len(near))
    return int(near[row]), int(near[column])
