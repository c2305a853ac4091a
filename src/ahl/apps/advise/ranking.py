"""What left-out images rank above, gathered over several models that each left some out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ahl.apps.advise.figures import Figure, auroc_figure, correlation_of, difference_figure

Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Ranking:
    """Of each image, the mean share of left-out images of the other label that it outscores.

    Models are never compared by their scores, only images by one model: each image with those that
    the same model left out.

    Attributes:
        anomalous: (N,) labels.
        shares: (N,) 0 to 1; NaN where no model left the image out beside the other label.
    """

    anomalous: Flags
    shares: NDArray[np.float64]

    def figure(self, among: Flags | None = None) -> Figure | None:
        """AUROC of the tested anomalies, or of some of them; None if there are none.

        Args:
            among: (N,) which anomalies count.
        """
        tested = self._tested(self.anomalous if among is None else self.anomalous & among)
        normals = int(self._tested(~self.anomalous).sum())
        if not tested.any() or not normals:
            return None
        return auroc_figure(float(self.shares[tested].mean()), int(tested.sum()), normals)

    def minus(self, other: Ranking, among: Flags | None = None) -> Figure | None:
        """How much higher the AUROC is than another one's, on images that both tested."""
        both = ~np.isnan(self.shares) & ~np.isnan(other.shares)
        if among is not None:
            both &= among | ~self.anomalous
        mine = Ranking(self.anomalous, np.where(both, self.shares, np.nan))
        theirs = Ranking(self.anomalous, np.where(both, other.shares, np.nan))
        one, two = mine.figure(), theirs.figure()
        if one is None or two is None:
            return None
        return difference_figure(one, two, correlation_of(mine._placements(), theirs._placements()))

    def _tested(self, chosen: Flags) -> Flags:
        return chosen & ~np.isnan(self.shares)

    def _placements(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return (
            self.shares[self._tested(self.anomalous)],
            1 - self.shares[self._tested(~self.anomalous)],
        )


class RankingSum:
    """Adds runs up to a ranking.

    Args:
        anomalous: (N,) labels.
    """

    def __init__(self, anomalous: Flags) -> None:
        self._anomalous = anomalous
        self._sums = np.zeros(len(anomalous))
        self._counts = np.zeros(len(anomalous))

    def add(self, tested: Indices, scores: NDArray[np.float64]) -> None:
        """Add one model's scores (n,) of the images that it left out."""
        flags = self._anomalous[tested]
        for own, others in ((flags, ~flags), (~flags, flags)):
            if own.any() and others.any():
                ordered = np.sort(scores[others])
                below = np.searchsorted(ordered, scores[own], "left")
                up_to = np.searchsorted(ordered, scores[own], "right")
                self._sums[tested[own]] += (below + up_to) / 2 / len(ordered)
                self._counts[tested[own]] += 1

    def ranking(self) -> Ranking:
        """The mean over the runs."""
        with np.errstate(invalid="ignore"):
            return Ranking(self._anomalous, self._sums / self._counts)


def mean_ranking(rankings: Sequence[Ranking]) -> Ranking:
    """The mean of several rankings of the same images, at least one."""
    shares = np.mean([ranking.shares for ranking in rankings], axis=0)
    return Ranking(rankings[0].anomalous, shares)
