"""Folders and patterns become image paths, in an order that no file system decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from ahl._common.errors import DataError
from ahl._common.text import counted, first_line, printable
from ahl.data.images.formats import IMAGE_SUFFIXES, MISSING, formats_in_words
from ahl.data.images.parting import part

MAGIC: Final = frozenset("*?[")
"""Characters that make a path a pattern."""

_SYSTEM: Final = frozenset(
    {
        *("@eadir", "@tmp", "#recycle", "#snapshot", "$recycle.bin", "recycler", "lost+found"),
        *("system volume information", "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini"),
    }
)
_NAMED: Final = 6  # of many names, in a note


def is_system(name: str) -> bool:
    """True for what operating systems and storage put beside people's files, and hidden names."""
    return name.startswith(".") or name.casefold() in _SYSTEM


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Images of folders and patterns, and all that was passed over there; all sorted.

    Attributes:
        images: photographs, by suffix; masks are not among them.
        masks: masks of photographs.
        masks_of: masks by the photograph they belong to, where that is known.
        two_toned: images that look like masks by name and grey tones, without a photograph.
        unlike_masks: images that are named like masks of others, and look like photographs.
        others: files that are no images by their suffix.
        unreadable: folders that could not be looked into.
    """

    images: tuple[Path, ...] = ()
    masks: tuple[Path, ...] = ()
    masks_of: Mapping[Path, tuple[Path, ...]] = field(default_factory=dict)
    two_toned: tuple[Path, ...] = ()
    unlike_masks: tuple[Path, ...] = ()
    others: tuple[Path, ...] = ()
    unreadable: tuple[Path, ...] = ()

    def notes(self, root: Path | None = None) -> list[str]:
        """Sentences on what was passed over or guessed, for people; none if nothing was.

        Args:
            root: what paths are told relative to.
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
            notes.append(f"{counted(len(self.others), 'file')} passed over: {', '.join(words)}.")
        if self.unreadable:
            folders = counted(len(self.unreadable), "folder")
            names = _names(self.unreadable, root)
            notes.append(f"{folders} passed over, which cannot be looked into: {names}.")
        return notes


def find(folder: Path, *, recursive: bool = True) -> Found:
    """Find the photographs of a folder, by suffix, and their masks.

    Hidden files and folders, and those of operating systems and storage (`@eaDir`, `#recycle`,
    `Thumbs.db`), are left out. Linked folders are followed, each real folder once, so loops end.
    Broken links are listed: reading them reports them.

    Returns:
        Paths that begin with `folder`, sorted by their relative name with forward slashes.

    Raises:
        DataError: if the folder itself cannot be listed.
    """
    files, unreadable = _files(folder, recursive=recursive)
    return _told_apart(folder, files, unreadable)


def find_images(
    folder: Path, *, recursive: bool, suffixes: Collection[str] = IMAGE_SUFFIXES
) -> list[Path]:
    """List all image files of a folder, masks included, by their suffixes (in lower case).

    Returns:
        as `find`.

    Raises:
        DataError: if a folder cannot be listed.
    """
    files, unreadable = _files(folder, recursive=recursive)
    if unreadable:
        raise DataError(f"Cannot list the folder {unreadable[0]}; allow it, or move it elsewhere.")
    return [path for path in files if path.suffix.lower() in suffixes]


def expand_paths(patterns: Sequence[str]) -> Found:
    """Turn what a user typed into image paths; patterns are expanded on every platform.

    Args:
        patterns: each a file (kept whatever it is, so that reading reports it), a folder (its
            photographs, subfolders included) or a pattern with `*`, `?`, `[...]` or `**` (the
            photographs it matches, and those in the folders it matches).

    Returns:
        Paths in the order of `patterns`, sorted within each, every path once.

    Raises:
        DataError: if a folder holds no image, a pattern matches none, or there is no such path.
    """
    parts = []
    for pattern in patterns:
        if not pattern.strip():  # Path("") would mean the current folder
            raise DataError("An input path is empty; name a file, a folder or a pattern.")
        parts.append(_expand(Path(pattern)))
    return joined(parts)


def joined(parts: Iterable[Found]) -> Found:
    """Several as one, every path once, under its first spelling."""
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
    )


def _files(folder: Path, *, recursive: bool) -> tuple[list[Path], list[Path]]:
    """Files below a folder, and folders that could not be listed."""
    files: list[Path] = []
    unreadable: list[Path] = []
    visited: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            status = current.stat()
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            # Sorted, because the first way into a folder linked twice names its images.
            for entry in sorted(current.iterdir(), key=lambda entry: entry.name, reverse=True):
                if is_system(entry.name):
                    continue
                if not entry.is_dir():
                    files.append(entry)
                elif recursive:
                    waiting.append(entry)
        except OSError as error:
            if current == folder:
                raise DataError(f"Cannot list the folder {folder}: {first_line(error)}.") from error
            unreadable.append(current)
    return sorted(files, key=lambda path: path.relative_to(folder).as_posix()), sorted(unreadable)


def _told_apart(root: Path, files: Sequence[Path], unreadable: Sequence[Path] = ()) -> Found:
    pictures = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    parted = part(pictures, root)
    return Found(
        images=parted.photographs,
        masks=parted.masks,
        masks_of=parted.masks_of,
        two_toned=parted.two_toned,
        unlike_masks=parted.unlike_masks,
        others=tuple(path for path in files if path.suffix.lower() not in IMAGE_SUFFIXES),
        unreadable=tuple(unreadable),
    )


def _expand(path: Path) -> Found:
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except OSError:  # out of reach: reading reports it
        is_folder, exists = False, True
    if exists and not is_folder:
        return Found(images=(path,))
    if is_folder:
        found = find(path)
    elif any(MAGIC.intersection(part) for part in path.parts):
        found = _match(path)
    elif exists or path.suffix.lower() in IMAGE_SUFFIXES:
        return Found(images=(path,))
    else:
        raise DataError(f"There is no file or folder {path}; check the path.")
    if not found.images:
        what = "The folder {} holds" if is_folder else "The pattern {} matches"
        notes = " ".join(found.notes())
        raise DataError(
            f"{what.format(path)} no image ({formats_in_words()}).{f' {notes}' if notes else ''}"
        )
    return found


def _match(pattern: Path) -> Found:
    # pathlib's ** follows no links, so loops cannot hang it, but it wants a fixed start.
    first = next(n for n, part in enumerate(pattern.parts) if MAGIC.intersection(part))
    start = Path(*pattern.parts[:first])
    matched: set[Path] = set()
    inner: set[Path] = set()
    unreadable: set[Path] = set()
    try:
        for match in start.glob("/".join(pattern.parts[first:])):
            parts = match.relative_to(start).parts
            if any(is_system(part) and part != ".." for part in parts):
                continue
            if match.is_dir():
                files, closed = _files(match, recursive=True)
                inner.update(files)
                unreadable.update(closed)
            else:
                matched.add(match)
        # Whether a file is a mask, others in its folder tell, too.
        beside = {
            other for folder in {path.parent for path in matched} for other in folder.iterdir()
        }
    except (OSError, ValueError) as error:  # ValueError: ** beside other characters
        raise DataError(f"Cannot expand the pattern {pattern}: {first_line(error)}.") from error
    wanted = matched | inner
    files = sorted(wanted | {path for path in beside if not path.is_dir()})
    found = _told_apart(start, files, sorted(unreadable))

    def kept(paths: Iterable[Path]) -> tuple[Path, ...]:
        return tuple(sorted((path for path in paths if path in wanted), key=Path.as_posix))

    return replace(
        found,
        images=kept(found.images),
        masks=kept(found.masks),
        two_toned=kept(found.two_toned),
        unlike_masks=kept(found.unlike_masks),
        others=kept(found.others),
    )


def places(paths: Iterable[Path], root: Path | None = None) -> str:
    """How many lie in which folders: `3 in good, 1 in crack`."""
    folders = Counter(path.parent for path in paths)
    words = [f"{number} in {_name(folder, root)}" for folder, number in sorted(folders.items())]
    more = f" and {len(words) - _NAMED} more folders" if len(words) > _NAMED else ""
    return ", ".join(words[:_NAMED]) + more


def _names(paths: Sequence[Path], root: Path | None) -> str:
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ", ".join(_name(path, root) for path in paths[:_NAMED]) + more


def _name(path: Path, root: Path | None) -> str:
    inside = root is not None and path != root and path.is_relative_to(root)
    return printable(str(path.relative_to(root) if root and inside else path))
