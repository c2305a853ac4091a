"""Folders and patterns become image paths, in an order that no file system decides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ahl._common.errors import DataError
from ahl._common.text import first_line

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".bmp", ".tif", ".tiff", ".webp"})
"""Suffixes, in lower case, by which images are found in folders."""

MAGIC: Final = frozenset("*?[")
"""Characters that make a path a pattern."""


def find_images(
    folder: Path, *, recursive: bool, suffixes: frozenset[str] = IMAGE_SUFFIXES
) -> list[Path]:
    """List the image files of a folder by their suffixes (in lower case).

    Hidden files and folders are left out. Linked folders are followed, each real folder once,
    so loops end. Broken links are listed: reading them reports them.

    Returns:
        Paths that begin with `folder`, sorted by their relative name with forward slashes.

    Raises:
        DataError: if a folder cannot be listed.
    """
    found: list[Path] = []
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
                if entry.name.startswith("."):
                    continue
                if not entry.is_dir():
                    found += [entry] if entry.suffix.lower() in suffixes else []
                elif recursive:
                    waiting.append(entry)
        except OSError as error:
            raise DataError(f"Cannot list the folder {current}: {first_line(error)}.") from error
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def expand_paths(patterns: Sequence[str]) -> list[Path]:
    """Turn what a user typed into image paths; patterns are expanded on every platform.

    Args:
        patterns: each a file (an image file is kept even where it does not exist, so that
            reading reports it), a folder (its images, subfolders included) or a pattern with `*`,
            `?`, `[...]` or `**` (the images it matches, and those in the folders it matches).

    Returns:
        The paths in the order of `patterns`, sorted within each, every path once.

    Raises:
        DataError: if a folder holds no image, a pattern matches none, or there is no such path.
    """
    paths: dict[Path, Path] = {}
    for pattern in patterns:
        if not pattern.strip():  # Path("") would mean the current folder
            raise DataError("An input path is empty; name a file, a folder or a pattern.")
        for path in _expand(Path(pattern)):
            paths.setdefault(path.absolute(), path)
    return list(paths.values())


def _expand(path: Path) -> list[Path]:
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except OSError:  # out of reach: reading reports it
        is_folder, exists = False, True
    if exists and not is_folder:
        return [path]
    if is_folder:
        found = find_images(path, recursive=True)
    elif any(MAGIC.intersection(part) for part in path.parts):
        found = _match(path)
    elif exists or path.suffix.lower() in IMAGE_SUFFIXES:
        return [path]
    else:
        raise DataError(f"There is no file or folder {path}; check the path.")
    if not found:
        what = "The folder {} holds" if is_folder else "The pattern {} matches"
        suffixes = ", ".join(sorted(IMAGE_SUFFIXES))
        raise DataError(f"{what.format(path)} no image ({suffixes}).")
    return found


def _match(pattern: Path) -> list[Path]:
    # pathlib's ** follows no links, so loops cannot hang it, but it wants a fixed start.
    first = next(n for n, part in enumerate(pattern.parts) if MAGIC.intersection(part))
    start = Path(*pattern.parts[:first])
    found: set[Path] = set()
    try:
        for match in start.glob("/".join(pattern.parts[first:])):
            inner = match.relative_to(start).parts
            if any(part.startswith(".") and part != ".." for part in inner):
                continue
            if match.is_dir():
                found.update(find_images(match, recursive=True))
            elif match.suffix.lower() in IMAGE_SUFFIXES:
                found.add(match)
    except (OSError, ValueError) as error:  # ValueError: ** beside other characters
        raise DataError(f"Cannot expand the pattern {pattern}: {first_line(error)}.") from error
    return sorted(found, key=lambda path: path.as_posix())
