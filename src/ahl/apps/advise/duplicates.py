"""Images that are there twice: the same pixels, or the same photograph saved anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ahl._common.callbacks import Callback
from ahl.apps.advise.alignment import Likeness, band_passed
from ahl.apps.advise.pictures import THUMBNAIL, Picture

NEAR_COPY = 0.94
"""Correlation of the details of two thumbnails from which they count as one photograph.

Of HeadCT's different photographs one pair, neighbouring slices of a head, reaches 0.952, the next
0.93; SDD's and the demo's stay below 0.7. Copies saved as JPEG of quality 60, be they brighter, at
another size or shifted, lie above 0.99 on HeadCT and SDD, and above 0.92 on the noisy demo.
"""

FEWEST = 10
"""Different images from which it can be told what they have in common, and near-copies be found."""

CANDIDATES = 5
"""Images most like an image that are compared with it closely."""

_LIKELY = 0.7  # of the coarse descriptors: below, images are not compared closely
_DESCRIBED = 16  # side of a coarse descriptor
_LEARNED = 500  # images that tell what is usual
_CHUNK = 512  # images compared with all others at once: 20 MB for 10,000

Where = Literal["good and defect", "within good", "within defects"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """Two images that are one.

    Attributes:
        one: name of the first.
        other: name of the second.
        one_class: its label.
        other_class: of the second.
        exact: whether their pixels are equal.
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

    def count(self, where: Where, *, exact: bool) -> int:
        """How many pairs there are of one sort."""
        return sum(copy.where == where and copy.exact == exact for copy in self.copies)


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
    groups = _groups(len(pictures), [(one, other) for one, other, _ in pairs])
    return Duplicates(copies=tuple(copies), groups=groups)


def _near_copies(
    pictures: Sequence[Picture], indices: NDArray[np.int64], callback: Callback
) -> Iterator[tuple[int, int, float]]:
    if len(pictures) < FEWEST:
        return
    thumbnails = np.stack([picture.thumbnail for picture in pictures])
    mean = thumbnails.mean(axis=0, dtype=np.float64).astype(np.float32)
    some = np.linspace(0, len(pictures) - 1, min(len(pictures), _LEARNED)).round().astype(int)
    likeness_of = Likeness.of(band_passed(thumbnails[some].astype(np.float32)), mean)
    found = _candidates(thumbnails, mean)
    callback.on_stage("comparing likely copies", 0, len(found))
    for done, (one, other) in enumerate(found, start=1):
        both = band_passed(thumbnails[[one, other]].astype(np.float32))
        likeness = likeness_of(both[0], both[1])
        if likeness >= NEAR_COPY:
            yield int(indices[one]), int(indices[other]), min(likeness, 1.0)
        callback.on_stage("comparing likely copies", done, len(found))


def _candidates(thumbnails: NDArray[np.uint8], mean: NDArray[np.float32]) -> list[tuple[int, int]]:
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


def _copy(one: Picture, other: Picture, likeness: float, *, exact: bool) -> Copy:
    anomalous = one.sample.is_anomaly, other.sample.is_anomaly
    where: Where = "within defects" if all(anomalous) else "within good"
    return Copy(
        one=one.sample.name,
        other=other.sample.name,
        one_class=one.sample.class_name,
        other_class=other.sample.class_name,
        exact=exact,
        likeness=round(likeness, 4),
        where="good and defect" if anomalous[0] != anomalous[1] else where,
    )


def _groups(count: int, pairs: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """(N,) number of the connected component of each."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ones, others = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    links = coo_array((np.ones(len(ones)), (ones, others)), shape=(count, count))
    groups: NDArray[np.int64] = connected_components(links, directed=False)[1].astype(np.int64)
    return groups
