"""Options for labelled images: a folder in a layout, paths with their labels, or a table."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ahl._common.errors import ConfigurationError, DataError
from ahl.apps.cli.common import say
from ahl.apps.cli.options import FILE, FOLDER, option, options

if TYPE_CHECKING:
    from ahl.data import Dataset

labelled_data = click.argument("data", type=FOLDER, required=False)
"""Argument DATA of verbs that also take `Labels`."""


@options
class Labels:
    """Labelled images in no layout: paths with their labels, or a table."""

    good: tuple[str, ...] = option(
        "Folder, file or glob of good images. May be repeated.",
        default=(),
        metavar="PATH",
    )
    defects: tuple[str, ...] = option(
        "Kind of defect, and a folder, file or glob of it. May be repeated.",
        "--defect",
        default=(),
        metavar="KIND=PATH",
    )
    masks: tuple[str, ...] = option(
        "Folder or glob of masks that have the names of their images.",
        default=(),
        metavar="PATH",
    )
    table: Path | None = option(
        "CSV file with a row for each image: path and label (good, or the kind of defect); "
        "optional are mask, group (equal for photographs of one part) and split (train, val, "
        "test).",
        default=None,
        type=FILE,
    )

    @property
    def given(self) -> bool:
        """True if any of these options is given."""
        return bool(self.good or self.defects or self.masks or self.table)

    @property
    def has_test(self) -> bool:
        """True if the table has rows of the split test."""
        from ahl.data.given import splits_of_table

        return self.table is not None and "test" in splits_of_table(self.table)

    def again(self, data: Path | None) -> str:
        """The folder and the options that were given, as typed in a shell."""
        given = {"--good": self.good, "--defect": self.defects, "--masks": self.masks}
        given["--table"] = () if self.table is None else (str(self.table),)
        words = [word for name, values in given.items() for one in values for word in (name, one)]
        return shlex.join([str(data), *words] if data else words)

    def dataset(
        self,
        data: Path | None,
        splits: Collection[str] | None = None,
        note: Callable[[str], None] = say,
    ) -> Dataset:
        """Open the labelled images, with notes on what was left out or guessed.

        Args:
            data: the folder, or `NAME=FOLDER` for a public dataset as downloaded.
            splits: which rows of a table that has splits; None for all.
            note: called with each note.

        Raises:
            ConfigurationError: if there is not exactly one of folder, paths and table.
            DataError: if there are no such images.
        """
        dataset = self._dataset(data, splits)
        for sentence in dataset.notes:
            note(sentence)
        return dataset

    def _dataset(self, data: Path | None, splits: Collection[str] | None) -> Dataset:
        from ahl.data.given import SPLITS, dataset_of_paths, dataset_of_table

        named = bool(self.good or self.defects or self.masks)
        if [data is not None, named, self.table is not None].count(True) != 1:
            raise ConfigurationError(
                "Give labelled images in one way: DATA, --good with --defect, or --table "
                f"(--masks needs --good); given: {self.again(data) or 'none'}."
            )
        if data is not None:
            return _open(data)
        if self.table is not None:
            return dataset_of_table(self.table, splits or SPLITS)
        kinds: dict[str, list[str]] = {}
        for text in self.defects:
            kind, separator, path = text.partition("=")
            if not separator or not kind.strip() or not path:
                raise ConfigurationError(f"--defect is {text!r}; expected KIND=PATH.")
            kinds.setdefault(kind.strip(), []).append(path)
        if not self.good:
            raise ConfigurationError("--good is missing; expected good images beside --defect.")
        if "good" in kinds:
            raise ConfigurationError("--defect names the kind good; give good images by --good.")
        return dataset_of_paths(self.good, kinds, self.masks)


def _open(data: Path) -> Dataset:
    """Open a folder in a layout, or `NAME=FOLDER`: a public dataset as downloaded.

    Raises:
        DataError: as `open_dataset`; it says so if the folder is a public dataset as downloaded.
    """
    from ahl.benchmark.datasets import READERS
    from ahl.data import open_dataset

    name, separator, raw = str(data).partition("=")
    reader = next((one for one in READERS if one.name == name.lower()), None)
    if separator and reader is not None and not data.exists():
        datasets = reader.read(Path(raw))
        if len(datasets) > 1:
            names = ", ".join(one.name for one in datasets)
            raise DataError(f"{raw} holds several datasets ({names}); name the folder of one.")
        return datasets[0]
    try:
        return open_dataset(data)
    except DataError as error:
        found = [one for one in READERS if data.is_dir() and _recognises(one.recognises, data)]
        if not found:
            raise
        raise DataError(
            f"{data} is {found[0].title} as downloaded: give {found[0].name}={data} instead. "
            f"({error})"
        ) from None


def _recognises(asked: Callable[[Path], bool], folder: Path) -> bool:
    try:
        return asked(folder)
    except DataError:
        return False
