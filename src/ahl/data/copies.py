"""Images that are there twice: the same pixels, or the same photograph saved anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ahl._common.callbacks import Callback
from ahl._common.spacing import evenly_spaced
from ahl.data.pictures import THUMBNAIL, Picture

NEAR_COPY = 0.94
"""Correlation of the details of two thumbnails from which they count as one photograph.

Of HeadCT's different photographs one pair, neighbouring slices of a head, reaches 0.952, the next
0.93; SDD's and the demo's stay below 0.7. Copies saved as JPEG of quality 60, be they brighter, at
another size or shifted, lie above 0.99 on HeadCT and SDD, and above 0.92 on the noisy demo.
"""

FEWEST = 10
"""Different images that near-copies can be found among: what they have in common is left out."""

CANDIDATES = 5
"""Images most like an image that are compared with it closely."""

_LIKELY = 0.7  # of the coarse descriptors: below, images are not compared closely
_DESCRIBED = 16  # side of a coarse descriptor
_LEARNED = 500  # images that show what is usual
_CHUNK = 512  # images compared with all others at once: 20 MB for 10,000

_FINE, _COARSE = 0.7, 6.0  # band, as standard deviations in pixels: noise and lighting are left out
_LOWEST, _HIGHEST = 0.03, 0.15  # cycles a pixel that are compared; above, re-encoding shows
_STEPS = 8
_MARGIN = 4  # pixels at the edge that a moved image may lack
_INNER = np.s_[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]

Where = Literal["good and defect", "within defects", "within good"]
Thumbnail = NDArray[np.float32]
"""(S, S) luminance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """Two images that are one.

    Attributes:
        one, other: their names.
        one_class, other_class: their labels.
        exact: True if their pixels are equal.
        likeness: correlation of their details, 1 for the same pixels.
        where: in which folders they lie.
    """

    one: str
    other: str
    one_class: str
    other_class: str
    exact: bool
    likeness: float
    where: Where


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """All copies.

    Attributes:
        copies: contradictions of the labels first, then exact ones, then by likeness.
        groups: (N,) number of the photograph that each picture shows; copies share one.
    """

    copies: tuple[Copy, ...]
    groups: NDArray[np.int64]


def find_duplicates(pictures: Sequence[Picture], callback: Callback) -> Duplicates:
    """Find exact copies by their pixels, and near-copies by thumbnails.

    Near-copies are found among the images that a coarse descriptor finds most alike, and confirmed
    by the details of their thumbnails, one moved onto the other. Re-encoding, other sizes, another
    brightness, and shifts or cuts of a few per cent are seen through; mirrored and turned copies
    are not found. Of n equal images, n - 1 pairs with the first are listed.

    Args:
        pictures: of all images.
        callback: receives progress.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first: dict[str, int] = {}
    pairs: list[tuple[int, int, float]] = []
    for index, picture in enumerate(pictures):
        earliest = first.setdefault(picture.digest, index)
        if earliest != index:
            pairs.append((earliest, index, 1.0))
    distinct = np.array(sorted(first.values()), dtype=np.int64)
    exact = len(pairs)
    pairs += _near_copies([pictures[i] for i in distinct], distinct, callback)
    copies = [
        _copy(pictures[one], pictures[other], likeness, exact=number < exact)
        for number, (one, other, likeness) in enumerate(pairs)
    ]
    order = {"good and defect": 0, "within defects": 1, "within good": 2}
    copies.sort(key=lambda c: (order[c.where], not c.exact, -c.likeness, c.one, c.other))
    ones, others = np.array([pair[:2] for pair in pairs], dtype=np.int64).reshape(-1, 2).T
    links = coo_array((np.ones(len(ones)), (ones, others)), shape=(len(pictures), len(pictures)))
    groups = connected_components(links, directed=False)[1].astype(np.int64)
    return Duplicates(copies=tuple(copies), groups=groups)


def _copy(one: Picture, other: Picture, likeness: float, *, exact: bool) -> Copy:
    defects = one.sample.is_anomaly + other.sample.is_anomaly
    wheres: tuple[Where, ...] = ("within good", "good and defect", "within defects")
    return Copy(
        one=one.sample.name,
        other=other.sample.name,
        one_class=one.sample.class_name,
        other_class=other.sample.class_name,
        exact=exact,
        likeness=round(likeness, 4),
        where=wheres[defects],
    )


def _near_copies(
    pictures: Sequence[Picture], indices: NDArray[np.int64], callback: Callback
) -> Iterator[tuple[int, int, float]]:
    if len(pictures) < FEWEST:
        return
    thumbnails = np.stack([picture.thumbnail for picture in pictures])
    mean = thumbnails.mean(axis=0, dtype=np.float64).astype(np.float32)
    some = thumbnails[evenly_spaced(len(pictures), _LEARNED)]
    likeness_of = _Similarity(_band_passed(some), mean)
    found = _candidates(thumbnails, mean)
    callback.on_stage("comparing likely copies", 0, len(found))
    for done, (one, other) in enumerate(found, start=1):
        likeness = likeness_of(*_band_passed(thumbnails[[one, other]]))
        if likeness >= NEAR_COPY:
            yield int(indices[one]), int(indices[other]), min(likeness, 1.0)
        callback.on_stage("comparing likely copies", done, len(found))


def _candidates(thumbnails: NDArray[np.uint8], mean: Thumbnail) -> list[tuple[int, int]]:
    """Pairs of images whose coarse looks agree, each with its most alike ones."""
    count, side = len(thumbnails), THUMBNAIL // _DESCRIBED
    described = np.empty((count, _DESCRIBED**2), dtype=np.float32)
    for start in range(0, count, _CHUNK):
        part = thumbnails[start : start + _CHUNK] - mean
        blocks = part.reshape(len(part), _DESCRIBED, side, _DESCRIBED, side).mean(axis=(2, 4))
        described[start : start + len(part)] = blocks.reshape(len(part), -1)
    described -= described.mean(axis=1, keepdims=True)
    described /= np.linalg.norm(described, axis=1, keepdims=True) + 1e-6
    pairs: set[tuple[int, int]] = set()
    for start in range(0, count, _CHUNK):
        likeness = described[start : start + _CHUNK] @ described.T
        own = np.arange(len(likeness))
        likeness[own, start + own] = -1.0
        most = min(CANDIDATES, count - 1)
        nearest = np.argpartition(-likeness, most - 1, axis=1)[:, :most]
        for row, others in enumerate(nearest):
            for other in others:
                if likeness[row, other] >= _LIKELY:
                    one, two = sorted((start + row, int(other)))
                    pairs.add((one, two))
    return sorted(pairs)


def _band_passed(thumbnails: NDArray[np.uint8] | Thumbnail) -> NDArray[np.float32]:
    """(N, S, S) without the finest and the coarsest detail."""
    from scipy.ndimage import gaussian_filter

    values = thumbnails.astype(np.float32)
    fine = gaussian_filter(values, (0, _FINE, _FINE), mode="nearest")
    coarse = gaussian_filter(values, (0, _COARSE, _COARSE), mode="nearest")
    passed: NDArray[np.float32] = fine - coarse
    return passed


class _Similarity:
    """Compares images by what sets them apart from all others of their dataset.

    Spatial frequencies count one over how strong they are in all images, so that a pattern that all
    parts have, shifted from one to the next, counts little.

    Args:
        thumbnails: (N, S, S) some of the images, band-passed.
        mean: (S, S) of all images.
    """

    def __init__(self, thumbnails: NDArray[np.float32], mean: Thumbnail) -> None:
        self._common = _band_passed(mean[None])[0]
        power = np.mean([np.abs(_spectrum(one - self._common)) ** 2 for one in thumbnails], axis=0)
        frequencies = np.fft.fftfreq(len(power))
        radius = np.hypot(frequencies[:, None], frequencies[None])
        compared = (radius > _LOWEST) & (radius < _HIGHEST) & (power > 0)
        self._weights = np.zeros_like(power)
        self._weights[compared] = 1 / power[compared]

    def __call__(self, one: Thumbnail, other: Thumbnail) -> float:
        """Correlation of two band-passed images, once one is moved onto the other.

        Returns:
            -1 to 1; about 1 for copies.
        """
        return max(self._correlation(one, found) for found in (other, _aligned(one, other)))

    def _correlation(self, one: Thumbnail, other: Thumbnail) -> float:
        first, second = _spectrum(one - self._common), _spectrum(other - self._common)
        lengths = float(
            np.sqrt((np.abs(first) ** 2 * self._weights).sum())
            * np.sqrt((np.abs(second) ** 2 * self._weights).sum())
        )
        product = float(((first * second.conj()).real * self._weights).sum())
        return product / lengths if lengths > 0 else 0.0


def _spectrum(image: Thumbnail) -> NDArray[np.complex128]:
    """Spectrum of the inner part, faded out towards its edge."""
    inner = image[_INNER]
    fade = np.sqrt(np.hanning(len(inner)))
    return np.fft.fft2((inner - inner.mean()) * np.outer(fade, fade))


def _aligned(one: Thumbnail, other: Thumbnail) -> Thumbnail:
    """The other, moved by the affine map that fits best (Lucas and Kanade, 1981)."""
    from scipy.ndimage import map_coordinates

    size = len(one)
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    y, x = (rows - size / 2) / size, (columns - size / 2) / size
    places = np.stack([np.ones_like(x), x, y])
    shift_y, shift_x = _whole_shift(one, other)
    by_row, by_column = np.array([shift_y, 0.0, 0.0]), np.array([shift_x, 0.0, 0.0])
    moved = other
    for _ in range(_STEPS):
        at = [rows + np.tensordot(by_row, places, 1), columns + np.tensordot(by_column, places, 1)]
        moved = map_coordinates(other, at, order=1, mode="nearest")
        slope_y, slope_x = np.gradient(moved)
        system = np.concatenate([slope_y * places, slope_x * places])[:, *_INNER].reshape(6, -1)
        missing = (one - moved)[_INNER].ravel()
        step = np.linalg.lstsq(system @ system.T, system @ missing, rcond=1e-6)[0]
        by_row, by_column = by_row + step[:3], by_column + step[3:]
        if np.abs(step).max() < 0.01:
            break
    return moved


def _whole_shift(one: Thumbnail, other: Thumbnail) -> tuple[float, float]:
    """Rows and columns, in whole pixels, that the other lies off, by cross-correlation."""
    product = np.fft.rfft2(other) * np.conj(np.fft.rfft2(one))
    found = np.fft.irfft2(product, s=one.shape)
    near = np.r_[: _MARGIN + 1, -_MARGIN:0]
    row, column = divmod(int(found[np.ix_(near, near)].argmax()), len(near))
    return float(near[row]), float(near[column])
