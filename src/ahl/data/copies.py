"""Copies in a dataset: images of equal pixels, or one photograph saved again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from ahl._common.callbacks import Callback
from ahl._common.types import GOOD
from ahl.data.likeness import near_copies
from ahl.data.pictures import THUMBNAIL, Picture

Where = Literal["good and defect", "within defects", "within good"]
_ORDER: Final[dict[Where, int]] = {"good and defect": 0, "within defects": 1, "within good": 2}
_NONE: Final = np.empty((0, THUMBNAIL, THUMBNAIL), dtype=np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A pair of copies.

    Attributes:
        one, other: names of the images.
        one_class, other_class: their class names.
        exact: True if their pixels are equal.
        likeness: correlation of their details, 1 for equal pixels.
        where: the pair's labels: both good, both defects, or one of each.
    """

    one: str
    other: str
    one_class: str
    other_class: str
    exact: bool
    likeness: float
    where: Where


@dataclass(frozen=True, kw_only=True)
class Copies:
    """Copies found among pictures.

    Attributes:
        copies: contradictory labels first; then exact copies before near ones, by likeness.
        pairs: indices of the pictures of each pair, in another order than `copies`.
    """

    copies: tuple[Copy, ...]
    pairs: tuple[tuple[int, int], ...]


def find_copies(pictures: Sequence[Picture[Any]], callback: Callback) -> Copies:
    """Find exact copies by their pixels, and near-copies by thumbnails.

    Candidates for near-copies are the images with the most similar coarse descriptors. They are
    confirmed by the details of their thumbnails, one aligned to the other. Copies are found in
    spite of re-encoding, resizing, another exposure, and shifts or cuts of a few per cent; mirrored
    and rotated copies are not found. Of n equal images, n - 1 pairs with the first are listed.

    Args:
        pictures: pictures of all images.
        callback: receives progress.
    """
    first: dict[str, int] = {}
    pairs: list[tuple[int, int, float]] = []
    for index, picture in enumerate(pictures):
        earliest = first.setdefault(picture.digest, index)
        if earliest != index:
            pairs.append((earliest, index, 1.0))
    distinct = sorted(first.values())
    exact = len(pairs)
    thumbnails = np.stack([pictures[i].thumbnail for i in distinct]) if distinct else _NONE
    pairs += [
        (distinct[one], distinct[other], likeness)
        for one, other, likeness in near_copies(thumbnails, callback)
    ]
    copies = [
        _copy(pictures[one], pictures[other], likeness, exact=number < exact)
        for number, (one, other, likeness) in enumerate(pairs)
    ]
    copies.sort(key=lambda c: (_ORDER[c.where], not c.exact, -c.likeness, c.one, c.other))
    places = tuple((one, other) for one, other, _ in pairs)
    return Copies(copies=tuple(copies), pairs=places)


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyGroup:
    """Images linked by pairs of copies, directly or through others.

    Attributes:
        names: names of the images, in alphabetical order.
        where: the group's labels: all good, all defects, or both.
    """

    names: tuple[str, ...]
    where: Where


def groups_of_copies(copies: Sequence[Copy]) -> list[CopyGroup]:
    """Group pairs that share an image; contradictory labels first, then large groups."""
    names = sorted({name for copy in copies for name in (copy.one, copy.other)})
    place = {name: index for index, name in enumerate(names)}
    numbers = linked(len(names), [(place[copy.one], place[copy.other]) for copy in copies])
    members: dict[int, list[str]] = {}
    for name, number in zip(names, numbers.tolist(), strict=True):
        members.setdefault(number, []).append(name)
    wheres: dict[int, set[Where]] = {}
    for copy in copies:
        wheres.setdefault(int(numbers[place[copy.one]]), set()).add(copy.where)
    groups = [
        CopyGroup(
            names=tuple(of_group),
            where="good and defect" if len(wheres[number]) > 1 else min(wheres[number]),
        )
        for number, of_group in members.items()
    ]
    return sorted(groups, key=lambda group: (_ORDER[group.where], -len(group.names), group.names))


def linked(count: int, pairs: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """Number the connected components of `count` items linked by pairs: (count,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ones, others = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    links = coo_array((np.ones(len(ones)), (ones, others)), shape=(count, count))
    groups: NDArray[np.int64] = connected_components(links, directed=False)[1].astype(np.int64)
    return groups


def _copy(one: Picture[Any], other: Picture[Any], likeness: float, *, exact: bool) -> Copy:
    defects = (one.sample.class_name != GOOD) + (other.sample.class_name != GOOD)
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
