"""Datasets whose labels are the names of folders."""

from __future__ import annotations

from pathlib import Path
from typing import final

from ahl._common.callbacks import Callback
from ahl._common.types import GOOD
from ahl.benchmark.datasets.raw_folders import class_samples, image_samples, subfolder, subfolders
from ahl.benchmark.datasets.reader import DatasetReader
from ahl.data.folders import Dataset
from ahl.data.images.formats import ARRAY_SUFFIX


@final
class MVTecReader(DatasetReader):
    """Reader of MVTec AD, in which every category is a dataset of its own.

    A single category's folder can be read, too. Masks (`ground_truth`) are not read. Names of
    categories and classes are put in lower case.
    """

    name = "mvtec"
    title = "MVTec AD"
    expects = "a folder for each category with train/good/, test/good/ and test/<class>/"
    own_split = True
    hard_subsets = ("carpet", "metal_nut")

    def recognises(self, folder: Path) -> bool:
        """True for a category's folder, or a folder of categories."""
        return bool(_categories(folder))

    def read_root(self, root: Path, callback: Callback) -> tuple[Dataset, ...]:
        """Read one dataset per category."""
        return tuple(
            self.benchmark_dataset(folder, name=folder.resolve().name.lower())
            for folder in _categories(root)
        )


def _categories(folder: Path) -> list[Path]:
    candidates = [folder] if _is_category(folder) else subfolders(folder)
    return [candidate for candidate in candidates if _is_category(candidate)]


def _is_category(folder: Path) -> bool:
    return bool(subfolder(folder, "train", GOOD) and subfolder(folder, "test"))


@final
class MastcamReader(DatasetReader):
    """Reader of Mastcam: typical images of Mars are normal, each folder of novel ones is a class.

    The dataset's own split of the normals is kept. Images are arrays of several channels, of which
    `ahl.data.images.reading` reads the first three.
    """

    name = "mastcam"
    title = "Mastcam"
    expects = "train_typical/*.npy, test_typical/*.npy and test_novel/<class>/*.npy"
    own_split = True

    def recognises(self, folder: Path) -> bool:
        """True for a folder with typical training images and novel ones."""
        return bool(subfolder(folder, "train_typical") and subfolder(folder, "test_novel"))

    def read_root(self, root: Path, callback: Callback) -> tuple[Dataset, ...]:
        """Read all arrays of the three folders."""
        train, test = subfolder(root, "train_typical"), subfolder(root, "test_typical")
        arrays = frozenset({ARRAY_SUFFIX})
        normals = image_samples(root, train, GOOD, arrays)
        novel = class_samples(root, subfolder(root, "test_novel"), arrays)
        test_normals = image_samples(root, test, GOOD, arrays)
        return (self.dataset(root, [*normals, *novel], test_normals=test_normals),)


@final
class BrainMRIReader(DatasetReader):
    """Reader of BrainMRI: slices in `no` are normal, those in `yes` are of class `defect`.

    The zip holds both folders twice; the copy one level deeper is not read.
    """

    name = "brainmri"
    title = "BrainMRI"
    expects = "the folders no/ and yes/ with images"

    def recognises(self, folder: Path) -> bool:
        """True for a folder that holds both."""
        return bool(subfolder(folder, "no") and subfolder(folder, "yes"))

    def read_root(self, root: Path, callback: Callback) -> tuple[Dataset, ...]:
        """Read all images of both folders."""
        normals = image_samples(root, subfolder(root, "no"), GOOD)
        tumours = image_samples(root, subfolder(root, "yes"), "defect")
        return (self.dataset(root, [*normals, *tumours]),)


@final
class HyperKvasirReader(DatasetReader):
    """Reader of HyperKvasir: anatomical landmarks are normal, each pathological finding a class."""

    name = "hyper-kvasir"
    title = "Hyper-Kvasir"
    expects = (
        "upper-gi-tract/anatomical-landmarks/<landmark>/ and "
        "upper-gi-tract/pathological-findings/<class>/ with images"
    )

    def recognises(self, folder: Path) -> bool:
        """True for the upper tract's folder, or the one that holds it."""
        return all(_of_upper_tract(folder))

    def read_root(self, root: Path, callback: Callback) -> tuple[Dataset, ...]:
        """Read all images of the upper tract."""
        landmarks, findings = _of_upper_tract(root)
        normals = image_samples(root, landmarks, GOOD)
        return (self.dataset(root, [*normals, *class_samples(root, findings)]),)


def _of_upper_tract(folder: Path) -> tuple[Path | None, Path | None]:
    tract = subfolder(folder, "upper-gi-tract") or folder
    return subfolder(tract, "anatomical-landmarks"), subfolder(tract, "pathological-findings")
