"""BrainMRI: slices with and without a tumour."""

from __future__ import annotations

from pathlib import Path
from typing import final

from ahl._common.callbacks import Callback
from ahl._common.types import GOOD, Sample
from ahl.benchmark.datasets.raw_folders import image_samples, subfolder
from ahl.benchmark.datasets.reader import DatasetReader
from ahl.data.folders import Dataset


@final
class BrainMRIReader(DatasetReader):
    """Images in `no` are normal, images in `yes` anomalies of the one class `defect`.

    The zip holds both folders a second time, one level deeper; that copy is not read.
    """

    name = "brainmri"
    title = "BrainMRI"
    expects = "the folders no/ and yes/ with images"

    def recognises(self, folder: Path) -> bool:
        """Whether it holds both folders."""
        return bool(subfolder(folder, "no") and subfolder(folder, "yes"))

    def read_root(self, root: Path, callback: Callback) -> tuple[Dataset, ...]:
        """All images of both folders."""
        return (
            self.dataset(
                root,
                normals=_images(root, "no", GOOD),
                anomalies=_images(root, "yes", "defect"),
            ),
        )


def _images(root: Path, name: str, class_name: str) -> list[Sample]:
    folder = subfolder(root, name)
    return image_samples(root, folder, class_name) if folder else []
