"""HeadCT: slices with and without a haemorrhage."""

from __future__ import annotations

from pathlib import Path
from typing import final

from ahl._common.callbacks import Callback
from ahl._common.errors import DataError
from ahl._common.types import GOOD, Sample, Skipped
from ahl.benchmark.datasets.raw_folders import file_named, file_samples, lines_of
from ahl.benchmark.datasets.reader import DatasetReader
from ahl.data.folders import Dataset
from ahl.data.images.finding import find_images

_LABELS = "labels.csv"
_COLUMNS = ["id", "hemorrhage"]


@final
class HeadCTReader(DatasetReader):
    """A slice labelled 0 is normal, 1 an anomaly of the one class `defect`.

    An image belongs to the row whose id is the number its name consists of.
    """

    name = "headct"
    title = "HeadCT"
    expects = "head_ct/head_ct/NNN.png with labels.csv (id, hemorrhage)"

    def recognises(self, folder: Path) -> bool:
        """Whether it holds a table of labels with the dataset's columns."""
        labels = file_named(folder, _LABELS)
        rows = [line for line in lines_of(labels) if line] if labels else []
        return bool(rows) and _fields(rows[0].lower()) == _COLUMNS

    def read_root(self, root: Path, callback: Callback) -> tuple[Dataset, ...]:
        """All labelled images below the folder."""
        labels = _labels(root)
        samples: dict[int, Sample] = {}
        for path in find_images(root, recursive=True):
            number = _whole_number(path.stem)
            name = path.relative_to(root).as_posix()
            if number is None or number not in labels:
                reason = f"{_LABELS} does not name it"
                callback.on_skipped(Skipped(name=name, reason=reason))
            elif number in samples:
                reason = f"{samples[number].name} has the same id"
                callback.on_skipped(Skipped(name=name, reason=reason))
            else:
                (samples[number],) = file_samples(root, [path], labels[number])
        for number in sorted(labels.keys() - samples.keys()):
            reason = f"{_LABELS} names it, but there is no such file"
            callback.on_skipped(Skipped(name=f"id {number}", reason=reason))
        return (
            self.dataset(
                root,
                normals=(sample for sample in samples.values() if not sample.is_anomaly),
                anomalies=(sample for sample in samples.values() if sample.is_anomaly),
            ),
        )


def _labels(root: Path) -> dict[int, str]:
    """Class by id."""
    table = file_named(root, _LABELS) or root / _LABELS
    numbered = [(number, line) for number, line in enumerate(lines_of(table), start=1) if line]
    classes: dict[int, str] = {}
    for number, line in numbered[1:]:
        fields = _fields(line)
        identifier = _whole_number(fields[0])
        if len(fields) != 2 or identifier is None or fields[1] not in ("0", "1"):
            raise DataError(
                f"Line {number} of {table} is {line[:80]!r}; expected a number, a comma and 0 or 1."
            )
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
