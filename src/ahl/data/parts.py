"""Parts: photographs of one part stay on one side of a split, and in one fold.

The part is read from an image's name; copies of one image count as one part, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ahl._common.callbacks import Callback
from ahl._common.errors import ConfigurationError
from ahl._common.text import counted
from ahl._common.types import Sample, Skipped
from ahl.data.copies import Copy, find_copies, linked
from ahl.data.images.numbers import FULL_DEPTH
from ahl.data.images.sources import LabelledImage
from ahl.data.pictures import Picture, look_at

T = TypeVar("T", Sample, LabelledImage)
U = TypeVar("U", Sample, LabelledImage)

_COPIES: Final = "copies of "
"""Prefix of the name of a part that consists of copies."""


def number_parts(parts: Iterable[str | None]) -> NDArray[np.int64]:
    """Number the parts of N images (N,): one number per part, and a new one for each None.

    Examples:
        >>> number_parts(["a", None, "b", "a", None]).tolist()
        [0, 1, 2, 0, 3]
    """
    known: dict[str, int] = {}
    numbers: list[int] = []
    new = 0
    for part in parts:
        number = new if part is None else known.setdefault(part, new)
        numbers.append(number)
        new += number == new
    return np.array(numbers, dtype=np.int64)


def part_of(name: str, group_by: str) -> str | None:
    """Read the part from an image's name; None if the expression does not match.

    Args:
        name: the image's name, relative to the root, with forward slashes.
        group_by: a regular expression, searched for in the name; its first group, or the whole
            match if it has no group, is the part.

    Raises:
        ConfigurationError: if it is not a regular expression.

    Examples:
        >>> part_of("good/exposure2_tile17.jpg", "tile[0-9]+")
        'tile17'
    """
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise ConfigurationError(
            f"group_by is {group_by!r}; expected a regular expression ({error})."
        ) from None
    match = pattern.search(name)
    return None if match is None else match.group(1 if pattern.groups else 0)


@dataclass(frozen=True, kw_only=True)
class Parts(Generic[T]):
    """Images with their parts, and the copies and pictures that these were found by.

    Attributes:
        images: the given images with their parts; None for the only photograph of a part.
        copies: all copies among them, contradictory labels first.
        pictures: pictures of the readable images, in order.
        skipped: unreadable images, whose copies are not looked for.
        unmatched: number of images whose part is neither given nor in their name; None without
            an expression.
        bit_depth: bit depth that the pixels were read with.
    """

    images: tuple[T, ...]
    copies: tuple[Copy, ...]
    pictures: tuple[Picture[T], ...]
    skipped: tuple[Skipped, ...] = ()
    unmatched: int | None = None
    bit_depth: int = FULL_DEPTH

    @property
    def shared(self) -> int:
        """Number of images that share their part with another one."""
        _, counts = np.unique(number_parts(one.part for one in self.images), return_counts=True)
        return int(counts[counts > 1].sum())

    @property
    def across(self) -> tuple[Copy, ...]:
        """Copies whose parts, given or read from names, differ."""
        parts = {one.name: one.part for one in self.images}
        return tuple(
            copy
            for copy in self.copies
            if parts[copy.one] != parts[copy.other]
            and (_is_told(parts[copy.one]) or _is_told(parts[copy.other]))
        )

    @property
    def contradictions(self) -> tuple[Copy, ...]:
        """Copies with contradictory labels: one good, one a defect."""
        return tuple(copy for copy in self.copies if copy.where == "good and defect")

    def among(self, images: Sequence[U], bit_depth: int) -> Parts[U] | None:
        """These parts restricted to `images`, whose labels may differ.

        None if an image is not among these, or the bit depth differs.
        """
        place = {image.name: index for index, image in enumerate(images)}
        known = {one.name for one in self.images}
        if self.bit_depth != bit_depth or not place.keys() <= known:
            return None
        pictures: list[Picture[Any]] = [one for one in self.pictures if one.sample.name in place]
        pictures.sort(key=lambda one: place[one.sample.name])
        return Parts(
            images=tuple(images),
            copies=tuple(c for c in self.copies if c.one in place and c.other in place),
            pictures=tuple(replace(one, sample=images[place[one.sample.name]]) for one in pictures),
            skipped=tuple(one for one in self.skipped if one.name in place),
            bit_depth=self.bit_depth,
        )

    def notes(self, done: str) -> list[str]:
        """Notes on copies, parts and unreadable images, for people.

        Args:
            done: predicate for "photographs of one part", such as "stay in one fold".
        """
        notes = []
        if self.unmatched:
            notes.append(
                f"The names of {self.unmatched} of {counted(len(self.images), 'image')} do not "
                "match --group-by: each of these counts as a part of its own, together with its "
                "copies."
            )
        if self.skipped:
            first = f"{self.skipped[0].name}: {self.skipped[0].reason}"
            notes.append(
                f"{counted(len(self.skipped), 'image')} could not be searched for copies, the "
                f"first {first}."
            )
        if self.copies:
            exact = sum(copy.exact for copy in self.copies)
            notes.append(
                f"{counted(len(self.copies), 'pair')} of copies found ({exact} of equal pixels, "
                f"{len(self.copies) - exact} near), such as {_pair(self.copies[-1])}."
            )
        if self.shared:
            notes.append(
                f"{self.shared} of {len(self.images)} images share their part with others: "
                f"photographs of one part {done}."
            )
        if self.contradictions:
            pairs = "; ".join(_pair(copy) for copy in self.contradictions[:3])
            notes.append(
                f"Warning: {counted(len(self.contradictions), 'pair')} of copies labelled good and "
                f"defect, so one label may be wrong: {pairs}."
            )
        if self.across:
            notes.append(
                f"Warning: {counted(len(self.across), 'pair')} of copies are of different parts "
                f"by --group-by or groups, such as {_pair(self.across[0])}; they may be separated."
            )
        return notes


def _pair(copy: Copy) -> str:
    labels = f" ({copy.one_class}, {copy.other_class})" if copy.where == "good and defect" else ""
    return f"{copy.one} = {copy.other}{labels}"


def tell_parts(images: Sequence[T], group_by: str) -> tuple[T, ...]:
    """Set the images' parts from their names; given parts are kept."""
    parts = [part_of(image.name, group_by) for image in images]
    return tuple(
        image if part is None or _is_told(image.part) else replace(image, part=part)
        for image, part in zip(images, parts, strict=True)
    )


def with_copies_together(images: Sequence[T], pairs: Sequence[tuple[int, int]]) -> tuple[T, ...]:
    """Set one part for all copies of an image; given parts are kept."""
    pairs = [pair for pair in pairs if not any(_is_told(images[i].part) for i in pair)]
    copied: dict[str, int] = {}  # first image of each part that copies were joined to before
    for index, image in enumerate(images):
        if image.part is not None and not _is_told(image.part):
            pairs.append((copied.setdefault(image.part, index), index))
    groups = linked(len(images), pairs)
    first: dict[int, str] = {}
    for index in sorted({i for pair in pairs for i in pair}, key=lambda i: images[i].name):
        first.setdefault(int(groups[index]), images[index].part or _COPIES + images[index].name)
    return tuple(
        image if _is_told(image.part) or group not in first else replace(image, part=first[group])
        for image, group in zip(images, groups.tolist(), strict=True)
    )


def _is_told(part: str | None) -> bool:
    """True for a part that is given or read from a name, not found by copies."""
    return part is not None and not part.startswith(_COPIES)


def find_parts(
    images: Sequence[T],
    callback: Callback,
    *,
    group_by: str | None = None,
    known: Parts[Any] | None = None,
    bit_depth: int = FULL_DEPTH,
) -> Parts[T]:
    """Find the parts of images by their names, and copies by their pixels.

    A part that is given or in the name is kept: only images without one are joined as copies. An
    unreadable image counts as a part of its own.

    Args:
        images: images with unique names.
        callback: receives progress.
        group_by: as in `part_of`; None to look for copies only.
        known: parts found before; if they cover all images, nothing is read again.
        bit_depth: as for `read_pixels`.

    Raises:
        ConfigurationError: if `group_by` is not a regular expression.
    """
    if known is not None and (before := known.among(images, bit_depth)) is not None:
        return before
    unmatched = None
    if group_by is not None:
        images = tell_parts(images, group_by)
        unmatched = sum(one.part is None for one in images)
    pictures, skipped = look_at(images, callback, bit_depth)
    found = find_copies(pictures, callback)
    place = {id(image): index for index, image in enumerate(images)}
    places = [place[id(picture.sample)] for picture in pictures]  # of the readable ones
    pairs = [(places[one], places[other]) for one, other in found.pairs]
    return Parts(
        images=with_copies_together(images, pairs),
        copies=found.copies,
        pictures=tuple(pictures),
        skipped=tuple(skipped),
        unmatched=unmatched,
        bit_depth=bit_depth,
    )
