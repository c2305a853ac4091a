"""Optical (DAGM 2007): ten drawn textures, with and without a defect."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, final

from ahl._common.callbacks import Callback
from ahl._common.errors import DataError
from ahl._common.types import GOOD, Sample, Skipped
from ahl.benchmark.datasets.raw_folders import (
    file_named,
    file_samples,
    lines_of,
    subfolder,
    subfolders,
)
from ahl.benchmark.datasets.reader import DatasetReader
from ahl.data.folders import Dataset
from ahl.data.images.finding import find_images

_TEXTURE = re.compile(r"class(\d+)", re.IGNORECASE)
_PARTS: Final = ("Train", "Test")
_LABELS: Final = ("Label", "Labels.txt")
_COUNT = 10


@final
class OpticalReader(DatasetReader):
    """The normal images of all textures are pooled; an anomaly's class is its texture, `ClassN`.

    The dataset's own parts (Train, Test) are pooled too. Its ellipse masks are not needed.
    """

    name = "optical"
    title = "Optical"
    expects = "ClassN/Train/*.PNG and ClassN/Test/*.PNG, each with Label/Labels.txt"

    def recognises(self, folder: Path) -> bool:
        """Whether it holds textures."""
        return bool(_textures(folder))

    def read_root(self, root: Path, callback: Callback) -> tuple[Dataset, ...]:
        """All labelled images of all textures."""
        textures = _textures(root)
        if len(textures) != _COUNT:
            callback.on_note(f"{root} holds {len(textures)} of the {_COUNT} textures.")
        samples: list[Sample] = []
        for class_name, texture in textures.items():
            for part in _parts(texture):
                samples += _read_part(root, part, class_name, callback)
        return (
            self.dataset(
                root,
                normals=(sample for sample in samples if not sample.is_anomaly),
                anomalies=(sample for sample in samples if sample.is_anomaly),
            ),
        )


def _read_part(root: Path, part: Path, class_name: str, callback: Callback) -> list[Sample]:
    labels = _labels(part)
    samples: list[Sample] = []
    for path in find_images(part, recursive=False):
        defective = labels.pop(path.name.casefold(), None)
        if defective is None:
            reason = f"{_LABELS[1]} does not name it"
            name = path.relative_to(root).as_posix()
            callback.on_skipped(Skipped(name=name, reason=reason))
        else:
            samples += file_samples(root, [path], class_name if defective else GOOD)
    for name in sorted(labels):
        reason = f"{_LABELS[1]} names it, but there is no such file"
        where = (part.relative_to(root) / name).as_posix()
        callback.on_skipped(Skipped(name=where, reason=reason))
    return samples


def _labels(part: Path) -> dict[str, bool]:
    """Whether each image, by its name in lower case, is defective.

    A line holds a number, the label, the image's name and two more fields for the mask; a first
    line without a name says what is labelled.
    """
    folder = subfolder(part, _LABELS[0])
    table = file_named(folder, _LABELS[1]) if folder else None
    if table is None:
        raise DataError(f"There is no {part / Path(*_LABELS)}, which says what is defective.")
    labels: dict[str, bool] = {}
    for number, line in enumerate(lines_of(table), start=1):
        fields = line.split()
        named = [place for place, field in enumerate(fields) if field.lower().endswith(".png")]
        if not named:
            continue
        label = fields[named[0] - 1] if named[0] else ""
        if label not in ("0", "1"):
            raise DataError(
                f"Line {number} of {table} is {line[:80]!r}; expected the label 0 or 1 before "
                "the image's name."
            )
        labels[fields[named[0]].casefold()] = label == "1"
    return labels


def _textures(folder: Path) -> dict[str, Path]:
    """Folders by class name, in the classes' order; a zip may have put each into another."""
    found: dict[int, Path] = {}
    for outer in subfolders(folder):
        match = _TEXTURE.fullmatch(outer.name)
        if match:
            inner = subfolder(outer, outer.name)
            candidates = [texture for texture in (outer, inner) if texture and _parts(texture)]
            if candidates:
                found.setdefault(int(match[1]), candidates[0])
    return {f"Class{number}": found[number] for number in sorted(found)}


def _parts(texture: Path) -> list[Path]:
    return [part for part in (subfolder(texture, name) for name in _PARTS) if part]
