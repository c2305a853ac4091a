"""Pixel-level figures of heat maps against masks, accumulated image by image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

NEAR: Final = 16
"""Largest distance in pixels from the mask at which a heat map's peak counts as on the defect."""

HIGHEST_RATE: Final = 0.3
"""Upper limit of the pixels' false-positive rate for AUPRO (Bergmann et al., 2021)."""

_BINS: Final = 1 << 16

Counts = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class PixelFigures:
    """Pixel-level figures of heat maps, in [0, 1]; None if all pixels, or none, are of defects.

    Attributes:
        auroc: AUROC of defect pixels against all others, including those of good images.
        aupro: mean share of a defect (an 8-connected region) that is found, averaged over the
            false-positive rates of pixels from 0 to `HIGHEST_RATE`.
        peak_near: share of the masked images whose highest pixel lies within `NEAR` pixels of the
            mask.
        masked: number of images with a mask.
        unmasked: number of anomalies without a readable mask, which are not counted otherwise.
    """

    auroc: float | None
    aupro: float | None
    peak_near: float
    masked: int
    unmasked: int


class PixelCounts:
    """Counts pixels by heat, in memory that does not grow with the number of images.

    Heat is rounded to half precision, of which every value has a bin of its own.
    """

    def __init__(self) -> None:
        self._good, self._defect, self._regions = (np.zeros(_BINS) for _ in range(3))
        self._near = self._masked = self._unmasked = 0

    def add(self, heat: NDArray[np.float32], mask: NDArray[np.bool_] | None) -> None:
        """Count the pixels of an image.

        Args:
            heat: heat map (H, W).
            mask: mask (H, W), True on the defect; None for a good image.
        """
        bins = _bins(heat)
        if mask is None:
            self._good += np.bincount(bins.ravel(), minlength=_BINS)
            return
        from scipy.ndimage import label  # not with `ahl-runtime`, which has no evaluation

        self._good += np.bincount(bins[~mask], minlength=_BINS)
        self._defect += np.bincount(bins[mask], minlength=_BINS)
        numbered, count = label(mask, structure=np.ones((3, 3)))
        for number in range(1, count + 1):
            region = bins[numbered == number]
            self._regions += np.bincount(region, minlength=_BINS) / len(region)
        peak = np.unravel_index(heat.argmax(), heat.shape)
        distances = np.linalg.norm(np.argwhere(mask) - np.array(peak), axis=1)
        self._near += bool(distances.min() <= NEAR)
        self._masked += 1

    def add_unmasked(self) -> None:
        """Count an anomaly without a mask."""
        self._unmasked += 1

    def figures(self) -> PixelFigures | None:
        """Compute the figures; None if no image had a mask."""
        if not self._masked:
            return None
        good, defect, regions = (
            np.cumsum(counts[::-1]) for counts in (self._good, self._defect, self._regions)
        )
        both = good[-1] and defect[-1]
        return PixelFigures(
            auroc=_area(good, defect, 1.0) if both else None,
            aupro=_area(good, regions, HIGHEST_RATE) if both else None,
            peak_near=self._near / self._masked,
            masked=self._masked,
            unmasked=self._unmasked,
        )


def _bins(heat: NDArray[np.float32]) -> NDArray[np.int64]:
    """Rank of each value (H, W) among all half-precision numbers."""
    limit = np.finfo(np.float16).max
    bits = (heat.clip(-limit, limit).astype(np.float16) + np.float16(0)).view(np.uint16)
    return np.where(bits >> 15, 0xFFFF - bits, bits | 0x8000).astype(np.int64)


def _area(rates: Counts, found: Counts, highest: float) -> float:
    """Mean height of the curve of `found` over `rates`, from rate 0 to `highest`."""
    rate = np.concatenate([[0.0], rates / rates[-1]])
    share = np.concatenate([[0.0], found / found[-1]])
    kept = rate <= highest
    x = np.append(rate[kept], highest)
    y = np.append(share[kept], np.interp(highest, rate, share))
    return float(np.trapezoid(y, x)) / highest
