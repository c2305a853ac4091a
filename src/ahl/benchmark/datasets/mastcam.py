"""Mastcam: multispectral photographs of Mars, as arrays."""

from __future__ import annotations

from pathlib import Path
from typing import final

from ahl._common.callbacks import Callback
from ahl._common.types import GOOD, Sample
from ahl.benchmark.datasets.raw_folders import file_samples, files_below, subfolder, subfolders
from ahl.benchmark.datasets.reader import DatasetReader
from ahl.data.folders import Dataset
from ahl.data.images.reading import ARRAY_SUFFIX

_TRAIN, _TEST, _NOVEL = "train_typical", "test_typical", "test_novel"


@final
class MastcamReader(DatasetReader):
    """Typical images are normal, in the dataset's own split; the novel ones' folders are classes.

    `ahl.data.images.reading` reads the first three channels of an array.
    """

    name = "mastcam"
    title = "Mastcam"
    expects = "train_typical/*.npy, test_typical/*.npy and test_novel/<class>/*.npy"
    own_split = True

    def recognises(self, folder: Path) -> bool:
        """Whether it holds typical images to train on and novel ones."""
        return bool(subfolder(folder, _TRAIN) and subfolder(folder, _NOVEL))

    def read_root(self, root: Path, callback: Callback) -> tuple[Dataset, ...]:
        """All arrays of the three folders."""
        novel = subfolder(root, _NOVEL)
        return (
            self.dataset(
                root,
                normals=_arrays(root, subfolder(root, _TRAIN), GOOD),
                test_normals=_arrays(root, subfolder(root, _TEST), GOOD),
                anomalies=(
                    sample
                    for folder in (subfolders(novel) if novel else [])
                    for sample in _arrays(root, folder, folder.name.lower())
                ),
            ),
        )


def _arrays(root: Path, folder: Path | None, class_name: str) -> list[Sample]:
    return file_samples(root, files_below(folder, ARRAY_SUFFIX) if folder else [], class_name)
