"""Datasets of paths named one by one, or of a table."""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

from ahl._common.errors import DataError
from ahl._common.text import counted, first_line, listed
from ahl._common.types import GOOD, Sample
from ahl.data.folders import Dataset, means_good
from ahl.data.images.finding import expand_paths
from ahl.data.images.found import Found
from ahl.data.images.pairing import common_folder, pair

SPLITS: Final = ("train", "val", "test")
"""Splits that a table may assign images to."""

_COLUMNS: Final = {
    "path": ("path", "file", "filename", "file_name", "filepath", "image", "image_path", "name"),
    "label": ("label", "class", "class_name", "kind", "defect", "target"),
    "mask": ("mask", "mask_path"),
    "group": ("group", "part"),
    "split": ("split", "set", "subset"),
}
"""Names by which each column of a table is recognised, in any case."""

_OTHER_SPLITS: Final = {
    "": "",
    **{name: name for name in SPLITS},
    "training": "train",
    "valid": "val",
    "validation": "val",
    "testing": "test",
}


def dataset_of_paths(
    good: Sequence[str], defects: Mapping[str, Sequence[str]], masks: Sequence[str] = ()
) -> Dataset:
    """Make a dataset of good images and defects anywhere in the file system.

    Args:
        good: files, folders and patterns of good images.
        defects: files, folders and patterns of each kind of defect, by its name.
        masks: files, folders and patterns of masks, which are paired with the images by name.

    Returns:
        The dataset, in the layout `"inspection"`.

    Raises:
        DataError: if a path or pattern finds no image, an image is given twice, or none is good.

    Examples:
        >>> from ahl import AHL, dataset_of_paths, draw_split
        >>> data = dataset_of_paths(["OK"], {"scratch": ["NG/scratch*.png"]})
        >>> AHL().fit_split(draw_split(data, anomalies=None))  # doctest: +SKIP
    """
    found = {kind: expand_paths(paths) for kind, paths in ((GOOD, good), *defects.items())}
    given = expand_paths(masks) if masks else Found()
    mask_files = {path.absolute() for path in (*given.images, *given.masks)}
    kinds: dict[Path, str] = {}
    paired: dict[Path, tuple[Path, ...]] = {}
    for kind, one in found.items():
        for path in (path.absolute() for path in one.images):
            if path in kinds:
                raise DataError(f"{path} is given as {kinds[path]} and as {kind}; keep one.")
            if path not in mask_files:
                kinds[path] = kind
        paired |= {path.absolute(): known for path, known in one.masks_of.items()}
    if GOOD not in kinds.values():
        raise DataError("No good images are given; name some with --good PATH.")
    matched, alone = pair(sorted(mask_files), list(kinds))
    root = common_folder(list(kinds))
    samples = [
        Sample(
            path=path,
            name=path.relative_to(root).as_posix(),
            class_name=kind,
            masks=matched.get(path) or paired.get(path, ()),
        )
        for path, kind in kinds.items()
    ]
    notes = [note for one in found.values() for note in one.notes()]
    if alone:
        masks_used = f"{len(alone)} of {counted(len(mask_files), 'mask')}"
        notes.append(f"{masks_used} not used, without an image of that name: {listed(alone)}.")
    return _inspection(root, samples, notes)


def dataset_of_table(file: Path, splits: Collection[str] = SPLITS) -> Dataset:
    """Make a dataset of a CSV file with one image per row.

    Its first row names the columns: `path` (relative to the file's folder, or to a folder beside
    it), `label` (`good` or 0, else the kind of defect; 1 is `anomaly`) and optionally `mask`,
    `group` (equal for photographs of one part) and `split` (`train`, `val` or `test`).

    Args:
        file: the table, its columns separated by commas, semicolons or tabs.
        splits: splits to take images from, if the table has that column.

    Returns:
        The dataset, in the layout `"inspection"`.

    Raises:
        DataError: if the table cannot be read, a row is invalid or no image is good.

    Examples:
        >>> from pathlib import Path
        >>> from ahl import dataset_of_table
        >>> data = dataset_of_table(Path("labels.csv"), ["train"])
    """
    rows, unread = _read(file)
    has_splits = any(row["split"] for _, row in rows)
    root = file.parent
    folders = [root, *sorted(path for path in root.iterdir() if path.is_dir())]
    samples: dict[str, Sample] = {}
    missing: list[str] = []
    taken = 0
    for number, row in rows:
        place = f"Line {number} of {file}"
        split = _OTHER_SPLITS.get(row["split"].casefold())
        if split is None or (has_splits and not split):
            expected = ", ".join(SPLITS)
            raise DataError(f"{place}: the split is {row['split']!r}; expected one of {expected}.")
        if not row["path"] or not row["label"]:
            lacking = "label" if row["path"] else "path"
            raise DataError(f"{place}: {lacking} is missing; expected one in every row.")
        name = row["path"].replace("\\", "/").removeprefix("./")
        if name in samples:
            raise DataError(f"{place}: {name} is listed twice; keep one of the rows.")
        if has_splits and split not in splits:
            continue
        taken += 1
        named = [name, *([row["mask"].replace("\\", "/")] if row["mask"] else [])]
        path, *masks = (_located(folders, one) for one in named)
        missing += [one for one, at in zip(named, (path, *masks), strict=True) if at is None]
        if path is not None:
            samples[name] = Sample(
                path=path,
                name=name,
                class_name=_class_of(row["label"]),
                part=row["group"] or None,
                masks=tuple(mask for mask in masks if mask is not None),
            )
    notes = [f"Columns of {file.name} that are ignored: {listed(unread)}."] if unread else []
    if has_splits:
        of_rows = f"{taken} of {counted(len(rows), 'row')} of {file.name}"
        notes.append(f"{of_rows} taken (split: {', '.join(splits)}).")
    if missing:
        notes.append(f"Files named in {file.name} do not exist: {listed(missing)}.")
    if all(sample.is_anomaly for sample in samples.values()):
        of_split = f" with the split {' or '.join(splits)}" if has_splits else ""
        lacking = f"{file} names no good image{of_split} that exists; label good images good or 0."
        raise DataError(" ".join([lacking, *notes]))
    return _inspection(root, list(samples.values()), notes)


def splits_of_table(file: Path) -> frozenset[str]:
    """Splits that occur in a table, by the names of `SPLITS`; empty without such a column.

    Raises:
        DataError: if the table cannot be read.
    """
    rows, _ = _read(file)
    return frozenset(_OTHER_SPLITS.get(row["split"].casefold(), "") for _, row in rows) - {""}


def _inspection(root: Path, samples: Sequence[Sample], notes: Sequence[str]) -> Dataset:
    return Dataset(
        name=root.resolve().name,
        root=root,
        layout="inspection",
        train_normals=tuple(sample for sample in samples if not sample.is_anomaly),
        test_normals=(),
        anomalies=tuple(sample for sample in samples if sample.is_anomaly),
        notes=tuple(notes),
    )


def _class_of(label: str) -> str:
    if means_good(label) or label == "0":
        return GOOD
    return "anomaly" if label == "1" else label


_Row = tuple[int, dict[str, str]]
"""Line number, and the values of the known columns, "" for missing ones."""


def _read(file: Path) -> tuple[list[_Row], list[str]]:
    """Rows of a table, and the names of its unknown columns."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"Cannot read the table {file}: {first_line(error)}.") from error
    separator = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.DictReader(text.splitlines(), delimiter=separator, restval="")
    there = {name.strip().casefold(): name for name in reader.fieldnames or () if name}
    columns = {
        column: next((there[name] for name in names if name in there), None)
        for column, names in _COLUMNS.items()
    }
    for column in ("path", "label"):
        if columns[column] is None:
            raise DataError(
                f"{file} has no column {column}; its columns are {', '.join(there) or 'none'}."
            )
    rows = []
    try:
        for row in reader:
            values = {key: (row[name] or "") if name else "" for key, name in columns.items()}
            rows.append((reader.line_num, {key: one.strip() for key, one in values.items()}))
    except csv.Error as error:
        raise DataError(f"Line {reader.line_num} of {file}: {first_line(error)}.") from error
    return rows, [name for name in there if there[name] not in columns.values()]


def _located(folders: Sequence[Path], name: str) -> Path | None:
    return next((folder / name for folder in folders if (folder / name).is_file()), None)
