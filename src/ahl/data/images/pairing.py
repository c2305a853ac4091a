"""Pairing of masks with their photographs, by the names of files and folders."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Final

_WORD: Final = r"(?:masks?|labels?|gts?|ground[ _-]?truths?|seg(?:mentation)?s?|annotations?)"
_GROUND_TRUTH: Final = re.compile(r"ground[ _-]?truths?", re.IGNORECASE)
MASK_FOLDER: Final = re.compile(rf"(?:.+[ _-])?{_WORD}(?:[ _-](?:images|imgs))?", re.IGNORECASE)
_ENDING: Final = re.compile(rf"(.+?)[ ._-]+{_WORD}[ ._-]?\d*", re.IGNORECASE)
MASK_NAME: Final = re.compile(rf"(?:.*[ ._-])?{_WORD}(?:[ ._-]?\d+)?", re.IGNORECASE)

Places = Mapping[Path, tuple[str, ...]]
"""Names of the folders that a file is in, from the root on."""

_MOST_ALIKE: Final = 64  # photographs of one name among which the one of a mask is looked for


def pair(
    masks: Sequence[Path], photographs: Sequence[Path]
) -> tuple[dict[Path, tuple[Path, ...]], list[Path]]:
    """Pair masks with photographs by name, wherever both lie.

    Args:
        masks: absolute paths.
        photographs: absolute paths.

    Returns:
        the masks of each photograph that has some, and the masks without a photograph.
    """
    root = common_folder([*masks, *photographs])
    places = {path: path.relative_to(root).parts[:-1] for path in (*masks, *photographs)}
    index = NameIndex(photographs, places)
    masks_of: defaultdict[Path, list[Path]] = defaultdict(list)
    alone: list[Path] = []
    for mask in masks:
        photograph = index.photograph_of(mask, anywhere=True)
        (alone if photograph is None else masks_of[photograph]).append(mask)
    return {path: tuple(found) for path, found in masks_of.items()}, alone


def common_folder(paths: Sequence[Path]) -> Path:
    """The deepest folder that contains all of these absolute paths."""
    return Path(os.path.commonpath([path.parent for path in paths]))


def is_ground_truth(folder: str) -> bool:
    """True for names of folders that hold only masks, such as `ground_truth`."""
    return _GROUND_TRUTH.fullmatch(folder) is not None


class NameIndex:
    """Index of photographs by names and folders.

    Args:
        paths: the photographs.
        places: folder names of the photographs, and of all masks to look up.
    """

    def __init__(self, paths: Iterable[Path], places: Places) -> None:
        self.paths: list[Path] = list(paths)
        self.places = places
        self._by_name: defaultdict[str, list[Path]] = defaultdict(list)
        self._by_folder: defaultdict[tuple[Path, str], list[Path]] = defaultdict(list)
        self._by_class: defaultdict[tuple[str, str], list[Path]] = defaultdict(list)
        for path in self.paths:
            stem, parts = path.stem.casefold(), places[path]
            self._by_name[stem].append(path)
            self._by_folder[path.parent, stem].append(path)
            if parts:
                self._by_class[parts[-1].casefold(), stem].append(path)

    def beside(self, path: Path, stem: str | None) -> list[Path]:
        """Other photographs with this stem in the same folder as `path`."""
        found = self._by_folder.get((path.parent, stem.casefold()), []) if stem else []
        return [other for other in found if other != path]

    def twins(self) -> dict[Path, list[Path]]:
        """Each photograph that shares its stem with others in its folder, with these others."""
        alike = [paths for paths in self._by_folder.values() if len(paths) > 1]
        return {path: [p for p in paths if p != path] for paths in alike for path in paths}

    def knows(self, mask: Path) -> bool:
        """True if any photograph has the mask's stem, with or without a mask's ending."""
        return any(stem.casefold() in self._by_name for stem in self._stems(mask))

    def photograph_of(self, mask: Path, *, anywhere: bool = False) -> Path | None:
        """The photograph that a mask belongs to; None if there is none, or more than one.

        Folders that hold masks are left out of the comparison. The photograph is looked for beside
        the mask, in a folder of the mask's class, below the folder that contains the mask's folder,
        and, if `anywhere`, in all folders.
        """
        if beside := self.beside(mask, mask.stem) + self.beside(mask, base_name(mask.stem)):
            return beside[0] if len(beside) == 1 else None
        wanted = tuple(p for p in self.places[mask] if not MASK_FOLDER.fullmatch(p))
        own = len(wanted) == len(self.places[mask])  # then the last one may hold masks
        for folders in (wanted, *([wanted[:-1]] if own else []), *([()] if anywhere else [])):
            named = self._candidates(mask, folders)
            ranks = [(self._rank(folders, path), path) for path in named]
            best = max((rank for rank, _ in ranks if rank), default=None)
            found = [path for rank, path in ranks if rank == best and best]
            if found:
                return found[0] if len(found) == 1 else None
        return None

    def _candidates(self, mask: Path, folders: tuple[str, ...]) -> list[Path]:
        """Photographs of the mask's name in folders of its class, else in all, unless too many."""
        stems = [stem.casefold() for stem in dict.fromkeys(self._stems(mask))]
        same = []
        if folders:
            keys = [(folders[-1].casefold(), stem) for stem in stems]
            same = [path for key in keys for path in self._by_class.get(key, [])]
            same = [path for path in same if path.parent != mask.parent]
        if same or sum(len(self._by_name.get(stem, [])) for stem in stems) > _MOST_ALIKE:
            return same
        named = [path for stem in stems for path in self._by_name.get(stem, [])]
        return [path for path in named if path.parent != mask.parent]

    def _stems(self, mask: Path) -> list[str]:
        return [stem for stem in (mask.stem, base_name(mask.stem)) if stem]

    def _rank(self, wanted: tuple[str, ...], path: Path) -> tuple[int, int] | None:
        """Numbers of equal folders at the end and at the start; None if the folders contradict."""
        there = [part.casefold() for part in self.places[path]]
        here = [part.casefold() for part in wanted]
        head = len([*takewhile(lambda pair: pair[0] == pair[1], zip(here, there, strict=False))])
        backwards = zip(reversed(here), reversed(there), strict=False)
        tail = len([*takewhile(lambda pair: pair[0] == pair[1], backwards)])
        return (tail, head) if tail or head == len(here) else None


def base_name(stem: str) -> str | None:
    """The photograph's stem in a mask's stem; None without a mask's ending."""
    match = _ENDING.fullmatch(stem)
    return match[1] if match else None
