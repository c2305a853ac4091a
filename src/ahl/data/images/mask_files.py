"""Separation of masks from photographs, by names, partners and grey tones.

A mask is an image that marks the defect in a photograph. Taken for photographs, masks would be
trained on as good parts or be detected as obvious defects. They are recognised by, in this order:

1. A folder `ground_truth`, in any case, with `_`, `-`, a space or nothing between.
2. A folder such as `masks` or `labels`, if most of its files have a photograph of their name.
3. The name of a photograph in the same folder with an ending such as `_mask`, `_mask1` or `_GT`.
4. The name of a photograph in the same folder with another suffix, and at most two grey tones.
5. A folder of any name whose pictures have two grey tones, and each a photograph of its name and
   size elsewhere.

For rules 2 and 3 the pictures must also look like masks: a few of a folder are read, and the others
only if these differ.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from ahl._common.errors import ImageError
from ahl._common.spacing import evenly_spaced
from ahl.data.images.found import Found
from ahl.data.images.pairing import (
    MASK_FOLDER,
    MASK_NAME,
    NameIndex,
    Places,
    base_name,
    is_ground_truth,
)
from ahl.data.images.reading import image_shape, read_pixels

_LOOKED_AT: Final = 3  # pictures of a group, before all are
_MOST_TONES: Final = 32  # of a mask of many classes
_RIM: Final = 12  # grey levels that compression moves a tone by


def separate_masks(pictures: Sequence[Path], root: Path) -> Found:
    """Separate masks from photographs.

    Args:
        pictures: image files below one folder.
        root: that folder; names of folders above it are ignored.

    Returns:
        The result: each picture is in `images` or in `masks`, in the order given.
    """
    pictures = list(dict.fromkeys(pictures))
    places = {path: path.relative_to(root).parts[:-1] for path in pictures}
    masks, unlike = _named_masks(pictures, places)
    for told in (_twins, _two_toned_folders):
        named = masks | unlike
        masks |= told(NameIndex([path for path in pictures if path not in named], places))
    photographs = [path for path in pictures if path not in masks]
    index = NameIndex(photographs if masks else [], places)
    masks_of: defaultdict[Path, list[Path]] = defaultdict(list)
    for mask in sorted(masks):
        photograph = index.photograph_of(mask)
        if photograph is not None:
            masks_of[photograph].append(mask)
    lonely = [
        path
        for path in photographs
        if path not in unlike
        and (any(map(MASK_FOLDER.fullmatch, places[path])) or MASK_NAME.fullmatch(path.stem))
    ]
    return Found(
        images=tuple(photographs),
        masks=tuple(path for path in pictures if path in masks),
        masks_of={path: tuple(found) for path, found in masks_of.items()},
        two_toned=tuple(sorted(_agreeing(lonely, lambda path: (_tones(path) or 3) <= 2))),
        unlike_masks=tuple(path for path in photographs if path in unlike),
    )


def _named_masks(pictures: Sequence[Path], places: Places) -> tuple[set[Path], set[Path]]:
    """Apply rules 1 to 3; return masks, and pictures that only their names make masks."""
    masks = {path for path in pictures if any(map(is_ground_truth, places[path]))}
    in_folder = {path for path in pictures if any(map(MASK_FOLDER.fullmatch, places[path]))} - masks
    plain = [path for path in pictures if path not in masks | in_folder]
    bases = {path: base for path in plain if (base := base_name(path.stem))}
    index = NameIndex(plain if bases else [], places)
    ended = {path for path, base in bases.items() if index.beside(path, base)}
    index = NameIndex([path for path in plain if path not in ended] if in_folder else [], places)
    unlike: set[Path] = set()
    for group in _grouped(in_folder | ended, key=lambda path: path.parent):
        of_folder = [path for path in group if path in in_folder]
        paired = 2 * sum(map(index.knows, of_folder)) > len(of_folder)
        found = [path for path in group if path in ended or paired]
        alike = _agreeing(found, _looks_like_mask)
        masks |= alike
        unlike |= set(found) - alike
    return masks, unlike


def _twins(index: NameIndex) -> set[Path]:
    """Apply rule 4: masks beside a photograph of the same name."""
    masks: set[Path] = set()
    twins = index.twins()
    for group in _grouped(twins, key=lambda path: (path.parent, path.suffix.lower())):
        masks |= _agreeing(group, partial(_is_toned_twin, twins))
    return masks


def _two_toned_folders(index: NameIndex) -> set[Path]:
    """Apply rule 5: folders of two-toned pictures with photographs of the same name and size.

    A folder of only black pictures, as for good parts, counts only beside a folder of other masks.
    """
    masks: set[Path] = set()
    black: list[set[Path]] = []
    for group in _grouped(index.paths, key=lambda path: path.parent):
        some = {path: found for path in _some(group) if (found := index.photograph_of(path))}
        if not any(_is_two_toned(some, path) for path in some):
            continue
        partners = {path: found for path in group if (found := index.photograph_of(path))}
        if 2 * len(partners) > len(group):
            alike = _agreeing(list(partners), partial(_is_two_toned, partners))
            if any(_tones(path) == 2 for path in _some(sorted(alike))):
                masks |= alike
            elif alike:
                black.append(alike)
    above = {index.places[path][:-1] for path in masks} - {()}
    return masks.union(*(one for one in black if index.places[min(one)][:-1] in above))


def _grouped(paths: Iterable[Path], key: Callable[[Path], object]) -> list[list[Path]]:
    groups: defaultdict[object, list[Path]] = defaultdict(list)
    for path in sorted(paths):
        groups[key(path)].append(path)
    return list(groups.values())


def _some(paths: Sequence[Path]) -> list[Path]:
    """A few of the paths: the first, the last, and some between."""
    return [paths[index] for index in evenly_spaced(len(paths), _LOOKED_AT)]


def _agreeing(paths: Sequence[Path], asked: Callable[[Path], bool]) -> set[Path]:
    """Paths for which `asked` is true; it is called on a few, on all only if these differ."""
    answers = {path: asked(path) for path in _some(paths)}
    if len(set(answers.values())) < 2:
        return set(paths) if any(answers.values()) else set()
    return {path for path in paths if (answers[path] if path in answers else asked(path))}


def _looks_like_mask(path: Path) -> bool:
    """True if the picture has few grey tones, or cannot be read, so that its name decides."""
    tones = _tones(path)
    return tones is None or tones <= _MOST_TONES


def _is_toned_twin(twins: Mapping[Path, Sequence[Path]], path: Path) -> bool:
    return (_tones(path) or 3) <= 2 and any((_tones(twin) or 0) > 2 for twin in twins[path])


def _is_two_toned(partners: Mapping[Path, Path], path: Path) -> bool:
    if (_tones(path) or 3) > 2 or (_tones(partners[path]) or 0) <= 2:
        return False
    return image_shape(path) == image_shape(partners[path])


def _tones(path: Path) -> int | None:
    """Number of a picture's grey levels, or None if it cannot be read.

    It is 2 if nearly all pixels are close to black or white, as in a mask saved as JPEG.
    """
    try:
        grey = read_pixels(path).max(axis=2)
    except ImageError:
        return None
    counts = np.bincount(grey.ravel(), minlength=256)
    close = counts[:_RIM].sum() + counts[-_RIM:].sum()
    levels = int(np.count_nonzero(counts))
    return 2 if levels > 2 and counts[-_RIM:].any() and close >= 0.98 * grey.size else levels
