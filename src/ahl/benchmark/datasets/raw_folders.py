"""Lookups in raw dataset folders, independent of letter case and listing order.

All raise DataError for a folder that cannot be listed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ahl._common.callbacks import Callback
from ahl._common.errors import DataError, ImageError
from ahl._common.text import listed
from ahl._common.types import Box, Sample, Skipped
from ahl.data.images.finding import find_images, is_system
from ahl.data.images.formats import IMAGE_SUFFIXES


def subfolders(folder: Path) -> list[Path]:
    """Visible folders directly in a folder, sorted by name."""
    return _entries(folder)[0]


def files(folder: Path) -> list[Path]:
    """Visible files directly in a folder, sorted by name."""
    return _entries(folder)[1]


def subfolder(folder: Path, *names: str) -> Path | None:
    """The folder at this path of names, in any letter case, or None."""
    for name in names:
        inner = _named(subfolders(folder), name)
        if inner is None:
            return None
        folder = inner
    return folder


def file_named(folder: Path, name: str) -> Path | None:
    """The file of this name in any letter case directly in a folder, or None."""
    return _named(files(folder), name)


def file_sample(root: Path, path: Path, class_name: str) -> Sample:
    """The sample of a whole file, named by its path relative to the root."""
    return Sample(path=path, name=path.relative_to(root).as_posix(), class_name=class_name)


def image_samples(
    root: Path, folder: Path | None, class_name: str, suffixes: frozenset[str] = IMAGE_SUFFIXES
) -> list[Sample]:
    """One sample for each image in a folder, subfolders included; none if `folder` is None."""
    found = find_images(folder, recursive=True, suffixes=suffixes) if folder else []
    return [file_sample(root, path, class_name) for path in found]


def class_samples(
    root: Path, parent: Path | None, suffixes: frozenset[str] = IMAGE_SUFFIXES
) -> list[Sample]:
    """Samples of all subfolders of `parent`; a subfolder's name in lower case is their class."""
    return [
        sample
        for folder in (subfolders(parent) if parent else [])
        for sample in image_samples(root, folder, folder.name.lower(), suffixes)
    ]


def region_samples(
    root: Path, path: Path, regions: Iterable[tuple[Box, str | None]]
) -> list[Sample]:
    """A sample for each region of an image whose class is not None, numbered among all regions."""
    name = path.relative_to(root).as_posix()
    return [
        Sample(path=path, name=f"{name}#{number}", class_name=class_name, box=box)
        for number, (box, class_name) in enumerate(regions)
        if class_name is not None
    ]


@contextmanager
def left_out_if_unusable(root: Path, path: Path, callback: Callback) -> Iterator[None]:
    """Report an image as skipped if the block raises ImageError."""
    try:
        yield
    except ImageError as error:
        callback.on_skipped(Skipped(name=path.relative_to(root).as_posix(), reason=str(error)))


def describe(folder: Path) -> str:
    """List the content of a folder, for a message."""
    inner, here = _entries(folder)
    held = [
        f"the {kind} {listed([entry.name for entry in entries])}"
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
                if not is_system(entry.name):
                    (inner if entry.is_dir() else here).append(folder / entry.name)
    except OSError as error:
        raise DataError(f"Cannot list the folder {folder}: {error.strerror or error}.") from error
    return sorted(inner, key=lambda path: path.name), sorted(here, key=lambda path: path.name)


def _named(entries: Iterable[Path], name: str) -> Path | None:
    same = [entry for entry in entries if entry.name.casefold() == name.casefold()]
    return min(same, key=lambda entry: entry.name != name, default=None)
