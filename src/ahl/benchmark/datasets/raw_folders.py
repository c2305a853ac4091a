"""Finding one's way in raw dataset folders, whatever the letter case and the listing's order."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ahl._common.errors import DataError
from ahl._common.types import Box, Sample
from ahl.data.images.finding import find_images

_CLUTTER = "__MACOSX"
_SHOWN = 6


def subfolders(folder: Path) -> list[Path]:
    """Visible folders directly in a folder, sorted by name.

    Raises:
        DataError: if the folder cannot be listed.
    """
    return _entries(folder)[0]


def files(folder: Path) -> list[Path]:
    """Visible files directly in a folder, sorted by name.

    Raises:
        DataError: if the folder cannot be listed.
    """
    return _entries(folder)[1]


def subfolder(folder: Path, *names: str) -> Path | None:
    """The folder reached by these names in any letter case, or None.

    Raises:
        DataError: if a folder on the way cannot be listed.
    """
    for name in names:
        inner = _named(subfolders(folder), name)
        if inner is None:
            return None
        folder = inner
    return folder


def file_named(folder: Path, name: str) -> Path | None:
    """The file of this name in any letter case directly in a folder, or None.

    Raises:
        DataError: if the folder cannot be listed.
    """
    return _named(files(folder), name)


def files_below(folder: Path, suffix: str) -> list[Path]:
    """Visible files of one suffix (lower case, with its dot), subfolders included.

    Raises:
        DataError: if a folder cannot be listed.
    """
    inner, here = _entries(folder)
    found = [path for path in here if path.suffix.lower() == suffix]
    return found + [path for each in inner for path in files_below(each, suffix)]


def lines_of(path: Path) -> list[str]:
    """The lines of a text file, without surrounding blanks; empty ones stay, to be counted.

    Raises:
        DataError: if the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror or error}.") from error
    return [line.strip() for line in text.splitlines()]


def file_samples(root: Path, paths: Iterable[Path], class_name: str) -> list[Sample]:
    """One sample a file, named by its path relative to the root."""
    return [
        Sample(path=path, name=path.relative_to(root).as_posix(), class_name=class_name)
        for path in paths
    ]


def image_samples(root: Path, folder: Path, class_name: str) -> list[Sample]:
    """One sample for each image in a folder, subfolders included.

    Raises:
        DataError: if a folder cannot be listed.
    """
    return file_samples(root, find_images(folder, recursive=True), class_name)


def region_sample(root: Path, path: Path, number: int, box: Box, class_name: str) -> Sample:
    """A sample for one region of an image file; `number` tells the file's regions apart."""
    name = f"{path.relative_to(root).as_posix()}#{number}"
    return Sample(path=path, name=name, class_name=class_name, box=box)


def describe(folder: Path) -> str:
    """What a folder holds, for a message.

    Raises:
        DataError: if the folder cannot be listed.
    """
    inner, here = _entries(folder)
    held = [
        f"the {kind} {_listed(entries)}"
        for kind, entries in (("folders", inner), ("files", here))
        if entries
    ]
    return " and ".join(held) or "nothing"


def _entries(folder: Path) -> tuple[list[Path], list[Path]]:
    inner: list[Path] = []
    here: list[Path] = []
    try:
        with os.scandir(folder) as found:
            for entry in found:
                if not entry.name.startswith(".") and entry.name != _CLUTTER:
                    (inner if entry.is_dir() else here).append(folder / entry.name)
    except OSError as error:
        raise DataError(f"Cannot list the folder {folder}: {error.strerror or error}.") from error
    return sorted(inner, key=_name), sorted(here, key=_name)


def _named(entries: Iterable[Path], name: str) -> Path | None:
    same = [entry for entry in entries if entry.name.casefold() == name.casefold()]
    return min(same, key=lambda entry: entry.name != name, default=None)


def _listed(entries: list[Path]) -> str:
    more = f" and {len(entries) - _SHOWN} more" if len(entries) > _SHOWN else ""
    return ", ".join(entry.name for entry in entries[:_SHOWN]) + more


def _name(path: Path) -> str:
    return path.name
