"""ELPV: solar cells by electroluminescence, in a raw folder or in the package `elpv-dataset`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final, final

from ahl._common.callbacks import Callback
from ahl._common.errors import DataError
from ahl._common.types import GOOD, Sample, Skipped
from ahl.benchmark.datasets.raw_folders import file_named, file_samples, lines_of
from ahl.benchmark.datasets.reader import DatasetReader
from ahl.data.folders import Dataset
from ahl.data.images.finding import find_images

_LABELS = "labels.csv"
_TYPES: Final = ("mono", "poly")


@final
class ELPVReader(DatasetReader):
    """Cells of defect probability 0 are normal, of 1 anomalies of class `mono` or `poly`.

    Those between (1/3 and 2/3) are unused.
    """

    name = "elpv"
    title = "ELPV"
    expects = (
        "images/cellNNNN.png with labels.csv (path, probability and type between blanks), "
        "or the word package for the installed elpv-dataset"
    )

    def packaged(self) -> Path:
        """The folder inside the installed package, found without importing it."""
        found = importlib.util.find_spec("elpv_dataset")
        for location in (found.submodule_search_locations or []) if found else []:
            return Path(location) / "data"
        raise DataError(
            'The package elpv-dataset is not installed; run: pip install "ahl[elpv]". '
            "Or name a folder that holds images/ and labels.csv."
        )

    def recognises(self, folder: Path) -> bool:
        """Whether it holds a table of labels in the dataset's form."""
        labels = file_named(folder, _LABELS)
        rows = [line.split() for line in lines_of(labels) if line] if labels else []
        return bool(rows) and len(rows[0]) == 3 and rows[0][2].lower() in _TYPES

    def read_root(self, root: Path, callback: Callback) -> tuple[Dataset, ...]:
        """All cells of probability 0 or 1."""
        paths = {
            path.relative_to(root).as_posix().casefold(): path
            for path in find_images(root, recursive=True)
        }
        samples: dict[str, Sample] = {}
        for named, class_name in _labels(root).items():
            path = paths.get(named.casefold())
            if path is None:
                reason = f"{_LABELS} names it, but there is no such file"
                callback.on_skipped(Skipped(name=named, reason=reason))
            else:
                (sample,) = file_samples(root, [path], class_name)
                samples[sample.name] = sample
        return (
            self.dataset(
                root,
                normals=(sample for sample in samples.values() if not sample.is_anomaly),
                anomalies=(sample for sample in samples.values() if sample.is_anomaly),
            ),
        )


def _labels(root: Path) -> dict[str, str]:
    """Class by path as written in the table, of the cells that count."""
    table = file_named(root, _LABELS) or root / _LABELS
    classes: dict[str, str] = {}
    for number, line in enumerate(lines_of(table), start=1):
        if not line:
            continue
        fields = line.split()
        try:
            path, probability, cell_type = fields[0], float(fields[1]), fields[2].lower()
        except (ValueError, IndexError):
            path, probability, cell_type = "", -1.0, ""
        if len(fields) != 3 or not 0 <= probability <= 1 or cell_type not in _TYPES:
            raise DataError(
                f"Line {number} of {table} is {line[:80]!r}; expected a path, a probability "
                "from 0 to 1 and mono or poly, between blanks."
            )
        path = path.replace("\\", "/").removeprefix("./")
        if path in classes:
            raise DataError(f"Line {number} of {table} names {path} again; keep one of the lines.")
        if probability in (0, 1):
            classes[path] = cell_type if probability else GOOD
    return classes
