"""Image paths of folders and patterns, in an order that does not depend on the file system."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from ahl._common.errors import ConfigurationError, DataError
from ahl._common.files import is_output, mark_output
from ahl._common.text import first_line
from ahl.data.images.formats import IMAGE_SUFFIXES, formats_in_words
from ahl.data.images.found import Found, joined
from ahl.data.images.mask_files import separate_masks
from ahl.data.images.pairing import common_folder

MAGIC: Final = frozenset("*?[")
"""Characters that make a path a pattern."""

_SYSTEM: Final = frozenset(
    {
        *("@eadir", "#recycle", "#snapshot", "$recycle.bin", "lost+found", "__macosx"),
        *("system volume information", "thumbs.db", "ehthumbs.db", "desktop.ini"),
    }
)


def is_system(name: str) -> bool:
    """True for names of hidden files, and of those that operating systems and storage create."""
    return name.startswith(".") or name.casefold() in _SYSTEM


def find_photographs(folder: Path) -> Found:
    """Find the photographs in a folder, by suffix, and their masks.

    Hidden files and folders, and those of operating systems and storage (`@eaDir`, `#recycle`,
    `Thumbs.db`), are left out, and so are folders inside that `ahl` wrote (heat maps, cached
    features). Linked folders are followed, each real folder once, so that loops end. Broken links
    are listed, and reported when they are read.

    Returns:
        Paths that begin with `folder`, sorted by their relative name with forward slashes.

    Raises:
        DataError: if the folder itself cannot be listed.
    """
    return _told_apart(folder, *_files(folder))


def find_images(
    folder: Path, *, recursive: bool, suffixes: Collection[str] = IMAGE_SUFFIXES
) -> list[Path]:
    """List all image files in a folder, masks included, by their suffixes (in lower case).

    Returns:
        Paths, sorted as those of `find_photographs`.

    Raises:
        DataError: if a folder cannot be listed.
    """
    files, unreadable, _ = _files(folder, recursive=recursive)
    if unreadable:
        raise DataError(
            f"Cannot list the folder {unreadable[0]}; give read permission, or move it elsewhere."
        )
    return [path for path in files if path.suffix.lower() in suffixes]


def claim_folder(folder: Path, option: str) -> None:
    """Make a folder an output, which searches for images skip.

    Args:
        folder: a new folder, or one that holds no images or is an output already.
        option: name of the option that gave it, for the message.

    Raises:
        ConfigurationError: if it holds images, which searches would then skip.
    """
    if folder.exists() and not is_output(folder) and find_images(folder, recursive=True):
        raise ConfigurationError(
            f"{option} is {folder}, which holds images; expected a new folder, or one that ahl "
            "wrote, as searches for images leave it out from then on."
        )
    mark_output(folder)


def expand_paths(patterns: Sequence[str]) -> Found:
    """Expand files, folders and patterns to image paths, on every platform.

    Args:
        patterns: each a file (kept whatever its type, unless it is the mask of another file in
            `patterns`), a folder (its photographs, subfolders included) or a pattern with `*`, `?`,
            `[...]` or `**` (the photographs it matches, and those in the folders it matches).

    Returns:
        Paths in the order of `patterns`, sorted within each, every path once.

    Raises:
        DataError: if a path is empty or does not exist, a folder holds no image, or a pattern
            matches none.
    """
    parts = []
    for pattern in patterns:
        if not pattern.strip():  # Path("") would mean the current folder
            raise DataError("An input path is empty; name a file, a folder or a pattern.")
        one_of_many = len(patterns) > 1  # as shells name all that is in a folder
        wrote = one_of_many and is_output(Path(pattern))
        parts.append(Found(outputs=(Path(pattern),)) if wrote else _expand(Path(pattern)))
    # Named one by one, as shells do with what a pattern matches.
    named = [one.images[0] for p, one in zip(patterns, parts, strict=True) if _is_itself(p, one)]
    masks_of = _masks_among(named)
    masks = {mask for of in masks_of.values() for mask in of}
    return joined(
        Found(masks=one.images, masks_of=masks_of)
        if _is_itself(pattern, one) and one.images[0].absolute() in masks
        else one
        for pattern, one in zip(patterns, parts, strict=True)
    )


def _is_itself(pattern: str, found: Found) -> bool:
    """True if a pattern names a single file and found it."""
    return found.images == (Path(pattern),)


def _masks_among(named: Sequence[Path]) -> Mapping[Path, tuple[Path, ...]]:
    """Masks by photograph among files that were named together, as absolute paths."""
    paths = [path.absolute() for path in named if path.suffix.lower() in IMAGE_SUFFIXES]
    return separate_masks(paths, common_folder(paths)).masks_of if len(paths) > 1 else {}


def _files(folder: Path, *, recursive: bool = True) -> tuple[list[Path], list[Path], list[Path]]:
    """Files in a folder, subfolders that could not be listed, and subfolders that `ahl` wrote."""
    files: list[Path] = []
    unreadable: list[Path] = []
    outputs: list[Path] = []
    visited: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            status = current.stat()
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            if current != folder and is_output(current):
                outputs.append(current)
                continue
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
    files.sort(key=lambda path: path.relative_to(folder).as_posix())
    return files, sorted(unreadable), sorted(outputs)


def _told_apart(
    root: Path, files: Sequence[Path], unreadable: Sequence[Path], outputs: Sequence[Path]
) -> Found:
    pictures = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    return replace(
        separate_masks(pictures, root),
        others=tuple(path for path in files if path.suffix.lower() not in IMAGE_SUFFIXES),
        unreadable=tuple(unreadable),
        outputs=tuple(outputs),
    )


def _expand(path: Path) -> Found:
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except OSError:  # out of reach: reading reports it
        is_folder, exists = False, True
    if exists and not is_folder:
        return Found(images=(path,))
    if is_folder:
        found = find_photographs(path)
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
    # pathlib's ** follows no links, so loops cannot hang it, but it needs a fixed start.
    first = next(n for n, part in enumerate(pattern.parts) if MAGIC.intersection(part))
    start = Path(*pattern.parts[:first])
    matched: set[Path] = set()
    inner: set[Path] = set()
    unreadable: set[Path] = set()
    outputs: set[Path] = set()
    try:
        for match in start.glob("/".join(pattern.parts[first:])):
            parts = match.relative_to(start).parts
            if any(is_system(part) and part != ".." for part in parts):
                continue
            around = (match, *match.parents)[: len(parts)]
            wrote = next((one for one in around if is_output(one)), None)
            if wrote is not None:
                outputs.add(wrote)
            elif match.is_dir():
                files, closed, written = _files(match)
                inner.update(files)
                unreadable.update(closed)
                outputs.update(written)
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
    found = _told_apart(start, files, sorted(unreadable), sorted(outputs))

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
