"""Datasets whose labels are in a table beside the images."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, final

from ahl._common.callbacks import Callback
from ahl._common.errors import DataError
from ahl._common.types import GOOD, Sample, Skipped
from ahl.benchmark.datasets.raw_folders import file_named, file_sample, subfolder, subfolders
from ahl.benchmark.datasets.reader import DatasetReader
from ahl.data.folders import Dataset
from ahl.data.images.finding import find_images

_TABLE = "labels.csv"
_TYPES: Final = ("mono", "poly")


@final
class ELPVReader(DatasetReader):
    """Reader of ELPV: electroluminescence images of solar cells.

    Reads a raw folder or the package `elpv-dataset`. Cells of defect probability 0 are normal,
    those of 1 anomalies of class `mono` or `poly`; those of 1/3 and 2/3 are not used.
    """

    name = "elpv"
    title = "ELPV"
    expects = (
        "images/cellNNNN.png with labels.csv (path, probability and type between blanks), "
        "or the word package for the installed elpv-dataset"
    )

    def packaged(self) -> Path:
        """Find the folder inside the installed package, without importing it."""
        found = importlib.util.find_spec("elpv_dataset")
        for location in (found.submodule_search_locations or []) if found else []:
            return Path(location) / "data"
        raise DataError(
            'The package elpv-dataset is not installed; run: pip install "ahl[elpv]". '
            "Or name a folder that holds images/ and labels.csv."
        )

    def recognises(self, folder: Path) -> bool:
        """True for a folder whose table of labels has the dataset's form."""
        for _, line in _lines(file_named(folder, _TABLE)):
            fields = line.split()
            return len(fields) == 3 and fields[2].lower() in _TYPES
        return False

    def read_root(self, root: Path, callback: Callback) -> tuple[Dataset, ...]:
        """Read all cells of probability 0 or 1."""
        paths = {
            path.relative_to(root).as_posix().casefold(): path
            for path in find_images(root, recursive=True)
        }
        samples: dict[Path, Sample] = {}
        for named, class_name in _cells(root).items():
            path = paths.get(named.casefold())
            if path is None:
                callback.on_skipped(_without_file(named, _TABLE))
            else:
                samples[path] = file_sample(root, path, class_name)
        return (self.dataset(root, samples.values()),)


def _cells(root: Path) -> dict[str, str]:
    """Class by path, as written in the table, of the cells of probability 0 or 1."""
    table = file_named(root, _TABLE) or root / _TABLE
    classes: dict[str, str] = {}
    for number, line in _lines(table):
        fields = line.split()
        try:
            path, probability, cell_type = fields[0], float(fields[1]), fields[2].lower()
        except (ValueError, IndexError):
            path, probability, cell_type = "", -1.0, ""
        if len(fields) != 3 or not 0 <= probability <= 1 or cell_type not in _TYPES:
            expected = "a path, a probability from 0 to 1 and mono or poly, between blanks"
            raise _bad_line(table, number, line, expected)
        path = path.replace("\\", "/").removeprefix("./")
        if path in classes:
            raise DataError(f"Line {number} of {table} names {path} again; keep one of the lines.")
        if probability in (0, 1):
            classes[path] = cell_type if probability else GOOD
    return classes


@final
class HeadCTReader(DatasetReader):
    """Reader of HeadCT: slices labelled 0 are normal, those labelled 1 (haemorrhage) `defect`.

    An image belongs to the row whose id is the number in its name.
    """

    name = "headct"
    title = "HeadCT"
    expects = "head_ct/head_ct/NNN.png with labels.csv (id, hemorrhage)"

    def recognises(self, folder: Path) -> bool:
        """True for a folder whose table of labels has the dataset's columns."""
        for _, line in _lines(file_named(folder, _TABLE)):
            return _fields(line.lower()) == ["id", "hemorrhage"]
        return False

    def read_root(self, root: Path, callback: Callback) -> tuple[Dataset, ...]:
        """Read all labelled images below the folder."""
        labels = _slices(root)
        samples: dict[int, Sample] = {}
        for path in find_images(root, recursive=True):
            number = _whole_number(path.stem)
            if number is None or number not in labels:
                callback.on_skipped(_without_label(root, path, _TABLE))
            elif number in samples:
                name, reason = path.relative_to(root).as_posix(), samples[number].name
                callback.on_skipped(Skipped(name=name, reason=f"{reason} has the same id"))
            else:
                samples[number] = file_sample(root, path, labels[number])
        for number in sorted(labels.keys() - samples.keys()):
            callback.on_skipped(_without_file(f"id {number}", _TABLE))
        return (self.dataset(root, samples.values()),)


def _slices(root: Path) -> dict[int, str]:
    """Class by id."""
    table = file_named(root, _TABLE) or root / _TABLE
    classes: dict[int, str] = {}
    for number, line in list(_lines(table))[1:]:
        fields = _fields(line)
        identifier = _whole_number(fields[0])
        if len(fields) != 2 or identifier is None or fields[1] not in ("0", "1"):
            raise _bad_line(table, number, line, "a number, a comma and 0 or 1")
        if identifier in classes:
            raise DataError(
                f"Line {number} of {table} names id {identifier} again; keep one of the lines."
            )
        classes[identifier] = "defect" if fields[1] == "1" else GOOD
    return classes


def _fields(line: str) -> list[str]:
    return [field.strip() for field in line.split(",")]


def _whole_number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


_TEXTURE = re.compile(r"class(\d+)", re.IGNORECASE)
_TEXTURES = 10
_LABELS = "Labels.txt"


@final
class OpticalReader(DatasetReader):
    """Reader of Optical (DAGM 2007): an anomaly's class is its texture; normals are pooled.

    The dataset's own parts (Train, Test) are pooled, too. Its ellipse masks are not read.
    """

    name = "optical"
    title = "Optical"
    expects = "ClassN/Train/*.PNG and ClassN/Test/*.PNG, each with Label/Labels.txt"

    def recognises(self, folder: Path) -> bool:
        """True for a folder of textures."""
        return bool(_textures(folder))

    def read_root(self, root: Path, callback: Callback) -> tuple[Dataset, ...]:
        """Read all labelled images of all textures."""
        textures = _textures(root)
        if len(textures) != _TEXTURES:
            callback.on_note(f"{root} holds {len(textures)} of the {_TEXTURES} textures.")
        samples: list[Sample] = []
        for class_name, parts in textures.items():
            for part in parts:
                samples += _read_part(root, part, class_name, callback)
        return (self.dataset(root, samples),)


def _read_part(root: Path, part: Path, class_name: str, callback: Callback) -> list[Sample]:
    labels = _defective(part)
    samples: list[Sample] = []
    for path in find_images(part, recursive=False):
        defective = labels.pop(path.name.casefold(), None)
        if defective is None:
            callback.on_skipped(_without_label(root, path, _LABELS))
        else:
            samples.append(file_sample(root, path, class_name if defective else GOOD))
    for name in sorted(labels):
        callback.on_skipped(_without_file((part.relative_to(root) / name).as_posix(), _LABELS))
    return samples


def _defective(part: Path) -> dict[str, bool]:
    """Map each image's name in lower case to True if it is defective.

    A line holds a number, the label, the image's name and two fields for the mask; a first line
    without a name is a heading.
    """
    folder = subfolder(part, "Label")
    table = file_named(folder, _LABELS) if folder else None
    if table is None:
        raise DataError(f"There is no {part / 'Label' / _LABELS}, which says what is defective.")
    labels: dict[str, bool] = {}
    for number, line in _lines(table):
        fields = line.split()
        named = [place for place, field in enumerate(fields) if field.lower().endswith(".png")]
        if not named:
            continue
        label = fields[named[0] - 1] if named[0] else ""
        if label not in ("0", "1"):
            raise _bad_line(table, number, line, "the label 0 or 1 before the image's name")
        labels[fields[named[0]].casefold()] = label == "1"
    return labels


def _textures(folder: Path) -> dict[str, list[Path]]:
    """Parts by class name, in the classes' order; a zip may nest each in another folder."""
    found: dict[int, list[Path]] = {}
    for outer in subfolders(folder):
        match = _TEXTURE.fullmatch(outer.name)
        parts = (_parts(outer) or _parts(subfolder(outer, outer.name))) if match else []
        if match and parts:
            found.setdefault(int(match[1]), parts)
    return {f"Class{number}": found[number] for number in sorted(found)}


def _parts(texture: Path | None) -> list[Path]:
    parts = [subfolder(texture, name) for name in ("Train", "Test")] if texture else []
    return [part for part in parts if part]


def _lines(table: Path | None) -> Iterator[tuple[int, str]]:
    """Yield number (from 1) and stripped text of each line that is not empty."""
    if table is None:
        return
    try:
        text = table.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise DataError(f"Cannot read {table}: {error.strerror or error}.") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield number, line.strip()


def _bad_line(table: Path, number: int, line: str, expected: str) -> DataError:
    return DataError(f"Line {number} of {table} is {line[:80]!r}; expected {expected}.")


def _without_label(root: Path, path: Path, table: str) -> Skipped:
    name = path.relative_to(root).as_posix()
    return Skipped(name=name, reason=f"{table} does not name it")


def _without_file(name: str, table: str) -> Skipped:
    return Skipped(name=name, reason=f"{table} names it, but there is no such file")
