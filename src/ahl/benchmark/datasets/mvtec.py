"""MVTec AD: fifteen categories, each with its own split."""

from __future__ import annotations

from pathlib import Path
from typing import final

from ahl._common.callbacks import Callback
from ahl._common.types import GOOD
from ahl.benchmark.datasets.raw_folders import subfolder, subfolders
from ahl.benchmark.datasets.reader import DatasetReader
from ahl.data.folders import Dataset


@final
class MVTecReader(DatasetReader):
    """Every category found becomes a dataset of its own; so does a single category's folder.

    Masks (`ground_truth`) are not needed. Names of categories and classes are put in lower case.
    """

    name = "mvtec"
    title = "MVTec AD"
    expects = "a folder for each category with train/good/, test/good/ and test/<class>/"
    own_split = True
    hard_subsets = ("carpet", "metal_nut")

    def recognises(self, folder: Path) -> bool:
        """Whether it is a category or holds some."""
        return bool(_categories(folder))

    def read_root(self, root: Path, callback: Callback) -> tuple[Dataset, ...]:
        """One dataset a category."""
        return tuple(
            self.benchmark_dataset(folder, name=folder.resolve().name.lower())
            for folder in _categories(root)
        )


def _categories(folder: Path) -> list[Path]:
    candidates = [folder] if _is_category(folder) else subfolders(folder)
    return [candidate for candidate in candidates if _is_category(candidate)]


def _is_category(folder: Path) -> bool:
    return bool(subfolder(folder, "train", GOOD) and subfolder(folder, "test"))
