"""The extension point for benchmark datasets: readers of raw folders as downloaded.

To add a dataset: write a subclass with the class attributes, `recognises` and `read_root`, and name
it in `ahl.benchmark.datasets`. The contract test covers it once `tests/raw_trees.py` can make a
tiny raw folder.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, TypeVar

from ahl._common.callbacks import Callback
from ahl._common.errors import DataError
from ahl._common.types import GOOD, Sample
from ahl.benchmark.datasets.raw_folders import (
    class_samples,
    describe,
    image_samples,
    subfolder,
    subfolders,
)
from ahl.data.folders import Dataset

T = TypeVar("T")

PACKAGE = Path("package")
"""Path that stands for the raw folder inside an installed Python package."""

# How deep below the folder that was named the dataset may lie: zips bring folders of their own.
_DEPTH = 2


class DatasetReader(ABC):
    """Reader of one benchmark dataset, without state between calls.

    Attributes:
        name: its name on the command line, lower case.
        title: its name in the papers.
        expects: the raw layout in one phrase, for messages.
        own_split: True if it brings its own split of the normals.
        hard_classes: known classes of the protocol's hard setting; None for every class.
        hard_subsets: names of the subsets the hard setting is run on; None for all of them.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    expects: ClassVar[str]
    own_split: ClassVar[bool] = False
    hard_classes: ClassVar[tuple[str, ...] | None] = None
    hard_subsets: ClassVar[tuple[str, ...] | None] = None

    def read(
        self, raw: Path | None = None, *, callback: Callback | None = None
    ) -> tuple[Dataset, ...]:
        """List the samples of a raw folder; of the images, at most masks are decoded.

        Args:
            raw: the folder, up to two levels above the dataset. None or `package` takes the
                one inside an installed Python package, if the dataset comes in one.
            callback: receives the images left out, with the reason.

        Returns:
            The dataset, or one for each subset found (MVTec AD: its categories), sorted by
            name. Each has at least one normal image to train on and one anomaly.

        Raises:
            DataError: if the folder does not hold this dataset once, or lacks usable normals or
                anomalies.
        """
        if raw is None or (raw == PACKAGE and not raw.exists()):
            raw = self.packaged()
        datasets = self.read_root(self._find_root(raw), callback or Callback())
        for dataset in datasets:
            if not dataset.train_normals or not dataset.anomalies:
                missing = "anomaly" if dataset.train_normals else "normal image"
                raise DataError(
                    f"{dataset.root} holds no usable {missing}. "
                    f"{self.title} is expected as {self.expects}."
                )
        return tuple(sorted(datasets, key=lambda dataset: dataset.name))

    def packaged(self) -> Path:
        """Find the raw folder inside an installed Python package.

        Raises:
            DataError: if the dataset comes in no package, or it is not installed.
        """
        raise DataError(
            f"{self.title} comes in no Python package; name its raw folder: {self.expects}."
        )

    @abstractmethod
    def recognises(self, folder: Path) -> bool:
        """True if `folder` is the dataset's root; judges by names alone, to be quick."""

    @abstractmethod
    def read_root(self, root: Path, callback: Callback) -> tuple[Dataset, ...]:
        """List the samples of a recognised folder; report the images left out.

        Raises:
            DataError: if its labels are invalid.
        """

    def dataset(
        self,
        root: Path,
        samples: Iterable[Sample],
        *,
        test_normals: Iterable[Sample] | None = None,
        name: str | None = None,
    ) -> Dataset:
        """Build the dataset, under the reader's name or that of a subset.

        Args:
            root: the dataset's own folder.
            samples: all anomalies, and the training normals (all normals without a split).
            test_normals: normals to test, if the dataset brings its own split.
            name: name of a subset; None for the whole dataset.
        """
        samples = tuple(samples)
        return Dataset(
            name=self.name if name is None else name,
            root=root,
            layout="inspection" if test_normals is None else "benchmark",
            train_normals=tuple(sample for sample in samples if not sample.is_anomaly),
            test_normals=tuple(test_normals or ()),
            anomalies=tuple(sample for sample in samples if sample.is_anomaly),
        )

    def benchmark_dataset(self, root: Path, *, name: str | None = None) -> Dataset:
        """Read `train/good`, `test/good` and `test/<class>`; classes are put in lower case."""
        tested = class_samples(root, subfolder(root, "test"))
        normals = image_samples(root, subfolder(root, "train", GOOD), GOOD)
        return self.dataset(
            root,
            [*normals, *(sample for sample in tested if sample.is_anomaly)],
            test_normals=[sample for sample in tested if not sample.is_anomaly],
            name=name,
        )

    def _find_root(self, raw: Path) -> Path:
        if not raw.exists():
            raise DataError(f"There is no folder {raw}; check the path.")
        if not raw.is_dir():
            raise DataError(f"{raw} is a file; name the folder that holds {self.title}.")
        level, found = [raw], [raw] if self.recognises(raw) else []
        for _ in range(_DEPTH):
            if found:
                break
            level = [inner for folder in level for inner in _if_reachable(subfolders, folder) or ()]
            found = [folder for folder in level if _if_reachable(self.recognises, folder)]
        if not found:
            raise DataError(
                f"{raw} does not look like {self.title}: expected {self.expects}; "
                f"found {describe(raw)}."
            )
        if len(found) > 1:
            raise DataError(
                f"{raw} holds {self.title} more than once, in {found[0]} and {found[1]}; "
                "name one of them."
            )
        return found[0]


def _if_reachable(ask: Callable[[Path], T], folder: Path) -> T | None:
    """Result of `ask` on a folder; None if the folder cannot be listed."""
    with suppress(DataError):
        return ask(folder)
    return None
