"""The plug for benchmark datasets: a raw folder, as downloaded -> labelled samples.

To add a dataset: write a subclass in a file of its own, with the class attributes, `recognises`
and `read_root`, and name it in `ahl.benchmark.datasets.readers`. The contract test runs over it
once `tests/raw_trees.py` says how a tiny raw folder is made.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from ahl._common.callbacks import Callback
from ahl._common.errors import DataError
from ahl._common.types import GOOD, Sample
from ahl.benchmark.datasets.raw_folders import describe, image_samples, subfolder, subfolders
from ahl.data.folders import Dataset

PACKAGE = Path("package")
"""Stands for the raw folder inside an installed Python package."""

# How deep below the folder that was named the dataset may lie: zips bring folders of their own.
_DEPTH = 2


class DatasetReader(ABC):
    """Reads one benchmark dataset. Readers keep nothing between calls.

    Attributes:
        name: what the command line calls it, lower case.
        title: its name in the papers.
        expects: the raw layout in one phrase, for messages.
        own_split: whether it brings its own split of the normals.
        hard_classes: known classes of the protocol's hard setting; None for every class.
        hard_subsets: names of the datasets the hard setting is run on; None for all of them.
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
        """List the samples of a raw folder; images are decoded only where masks have to be.

        Args:
            raw: the folder, up to two levels above the dataset. None or `package` takes the
                one inside an installed Python package, where the dataset comes in one.
            callback: receives images that are left out, and why.

        Returns:
            The dataset, or one for each subset found (MVTec AD: its categories), sorted by
            name. Each has at least one normal image to train on and one anomaly.

        Raises:
            DataError: if the folder is not of this dataset, or nothing usable is in it.
        """
        if raw is None or (raw == PACKAGE and not raw.exists()):
            raw = self.packaged()
        datasets = self.read_root(self._find_root(raw), callback or Callback())
        for dataset in datasets:
            for what, samples in (
                ("normal image", dataset.train_normals),
                ("anomaly", dataset.anomalies),
            ):
                if not samples:
                    raise DataError(
                        f"{dataset.root} holds no usable {what}. "
                        f"{self.title} is expected as {self.expects}."
                    )
        return tuple(sorted(datasets, key=lambda dataset: dataset.name))

    def packaged(self) -> Path:
        """The raw folder inside an installed Python package.

        Raises:
            DataError: if there is none.
        """
        raise DataError(
            f"{self.title} comes in no Python package; name its raw folder: {self.expects}."
        )

    @abstractmethod
    def recognises(self, folder: Path) -> bool:
        """Whether a folder is the dataset's own, told by names alone so that it is quick."""

    @abstractmethod
    def read_root(self, root: Path, callback: Callback) -> tuple[Dataset, ...]:
        """List the samples of a folder that was recognised.

        Args:
            root: the dataset's own folder.
            callback: receives images that are left out, and why.

        Raises:
            DataError: if its labels make no sense.
        """

    def dataset(
        self,
        root: Path,
        *,
        normals: Iterable[Sample],
        anomalies: Iterable[Sample],
        test_normals: Iterable[Sample] | None = None,
        name: str | None = None,
    ) -> Dataset:
        """Build the dataset, its samples sorted.

        Args:
            root: the dataset's own folder.
            normals: to train on, or all there are.
            anomalies: all of them.
            test_normals: where the dataset brings its own split.
            name: of a subset; the reader's by default.
        """
        return Dataset(
            name=self.name if name is None else name,
            root=root,
            layout="inspection" if test_normals is None else "benchmark",
            train_normals=_by_name(normals),
            test_normals=_by_name(test_normals or ()),
            anomalies=_by_name(anomalies),
        )

    def benchmark_dataset(self, root: Path, *, name: str | None = None) -> Dataset:
        """Read a folder in MVTec AD's layout; classes are put in lower case.

        Args:
            root: holds `train/good`, `test/good` and `test/<class>`, in any letter case.
            name: of a subset; the reader's by default.

        Raises:
            DataError: if a folder cannot be listed.
        """
        train, test = subfolder(root, "train", GOOD), subfolder(root, "test")
        tested = [
            sample
            for folder in (subfolders(test) if test else [])
            for sample in image_samples(root, folder, folder.name.lower())
        ]
        return self.dataset(
            root,
            normals=image_samples(root, train, GOOD) if train else (),
            test_normals=(sample for sample in tested if not sample.is_anomaly),
            anomalies=(sample for sample in tested if sample.is_anomaly),
            name=name,
        )

    def _find_root(self, raw: Path) -> Path:
        if not raw.exists():
            raise DataError(f"There is no folder {raw}; check the path.")
        if not raw.is_dir():
            raise DataError(f"{raw} is a file; name the folder that holds {self.title}.")
        level = [raw]
        found = [raw] if self.recognises(raw) else []
        for _ in range(_DEPTH):
            if found:
                break
            level = [inner for folder in level for inner in _listable(folder)]
            found = [folder for folder in level if self._seems(folder)]
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

    def _seems(self, folder: Path) -> bool:
        try:
            return self.recognises(folder)
        except DataError:  # a folder beside the dataset may be out of reach
            return False


def _listable(folder: Path) -> list[Path]:
    try:
        return subfolders(folder)
    except DataError:
        return []


def _by_name(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    return tuple(sorted(samples, key=lambda sample: sample.name))
