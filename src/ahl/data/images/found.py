"""Result of a search for images, with all files and folders that were left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ahl._common.text import counted, listed
from ahl.data.images.formats import MISSING


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Images found in folders and by patterns, and everything that was left out, sorted.

    Attributes:
        images: photographs, by suffix, without masks.
        masks: masks of photographs.
        masks_of: masks by their photograph, where it is known.
        two_toned: images with a mask's name and grey tones, but without a photograph.
        unlike_masks: images with a mask's name that look like photographs.
        others: files without an image's suffix.
        unreadable: folders that could not be listed.
        outputs: folders that `ahl` wrote.
    """

    images: tuple[Path, ...] = ()
    masks: tuple[Path, ...] = ()
    masks_of: Mapping[Path, tuple[Path, ...]] = field(default_factory=dict)
    two_toned: tuple[Path, ...] = ()
    unlike_masks: tuple[Path, ...] = ()
    others: tuple[Path, ...] = ()
    unreadable: tuple[Path, ...] = ()
    outputs: tuple[Path, ...] = ()

    def notes(self, root: Path | None = None) -> list[str]:
        """Sentences on files left out and on guesses, for people; empty if there are none.

        Args:
            root: folder to which the paths are shown relative.
        """
        notes = []
        if self.masks:
            masks = counted(len(self.masks), "mask", "are")
            notes.append(f"{masks} kept apart from the images: {places(self.masks, root)}.")
        for paths, why in (
            (self.two_toned, "two tones, but no photograph of that name"),
            (self.unlike_masks, "they look like photographs"),
        ):
            if paths:
                named = f"named like masks: {_names(paths, root)}"
                notes.append(f"Counted as photographs, though {named} ({why}).")
        if self.others:
            kinds = Counter(path.suffix.lower() or "without a suffix" for path in self.others)
            words = [
                f"{number} {kind}" + (f" ({MISSING[kind]} reads it)" if kind in MISSING else "")
                for kind, number in sorted(kinds.items(), key=lambda kind: (-kind[1], kind[0]))
            ]
            notes.append(
                f"{counted(len(self.others), 'file', 'were')} left out, without an image's suffix: "
                f"{', '.join(words)}."
            )
        for paths, why in (
            (self.unreadable, "which cannot be listed (no permission)"),
            (self.outputs, "which ahl wrote itself"),
        ):
            if paths:
                folders = counted(len(paths), "folder", "were")
                notes.append(f"{folders} left out, {why}: {_names(paths, root)}.")
        return notes


def joined(parts: Iterable[Found]) -> Found:
    """Join several results; every path is kept once, in its first spelling."""
    parts = list(parts)

    def all_of(name: str) -> tuple[Path, ...]:
        paths: dict[Path, Path] = {}
        for path in (path for one in parts for path in getattr(one, name)):
            paths.setdefault(path.absolute(), path)
        return tuple(paths.values())

    return Found(
        images=all_of("images"),
        masks=all_of("masks"),
        masks_of={path: masks for one in parts for path, masks in one.masks_of.items()},
        two_toned=all_of("two_toned"),
        unlike_masks=all_of("unlike_masks"),
        others=all_of("others"),
        unreadable=all_of("unreadable"),
        outputs=all_of("outputs"),
    )


def places(paths: Iterable[Path], root: Path | None = None) -> str:
    """Counts by folder: `3 in good, 1 in crack`."""
    folders = Counter(path.parent for path in paths)
    return listed([f"{number} in {_name(at, root)}" for at, number in sorted(folders.items())])


def _names(paths: Iterable[Path], root: Path | None) -> str:
    return listed([_name(path, root) for path in paths])


def _name(path: Path, root: Path | None) -> Path:
    inside = root is not None and path != root and path.is_relative_to(root)
    return path.relative_to(root) if root and inside else path
