"""SDD (KolektorSDD): tall photographs of commutators, each cut into three bands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import final

from ahl._common.callbacks import Callback
from ahl._common.errors import ImageError
from ahl._common.types import GOOD, Sample, Skipped
from ahl.benchmark.datasets.raw_folders import files, region_sample, subfolder, subfolders
from ahl.benchmark.datasets.reader import DatasetReader
from ahl.data.folders import Dataset
from ahl.data.images.finding import IMAGE_SUFFIXES
from ahl.data.images.reading import image_shape
from ahl.data.masks import read_masks

_BANDS = 3
_DEFECT = "defect"
_ITEM = re.compile(r"kos\d+", re.IGNORECASE)
_PART = re.compile(r"part\d+", re.IGNORECASE)
_LABEL = re.compile(r"(part\d+)_label", re.IGNORECASE)


@final
class SDDReader(DatasetReader):
    """A band is an anomaly where the image's label marks a pixel of it, else normal.

    Images without a label are left out. The bands split the height at its thirds, rounded down.

    Also reads the copy that goes around already cut, in MVTec AD's layout (train/good, test/good,
    test/defect). That copy brings its own split of the normals, which is kept.
    """

    name = "sdd"
    title = "SDD"
    expects = (
        "kosNN/PartM.jpg with kosNN/PartM_label.bmp, or its bands as train/good/, test/good/ "
        "and test/defect/"
    )

    def recognises(self, folder: Path) -> bool:
        """Whether it holds the items' folders, or the bands in MVTec AD's layout."""
        return bool(_items(folder)) or _is_cut(folder)

    def read_root(self, root: Path, callback: Callback) -> tuple[Dataset, ...]:
        """The bands of all images."""
        if not _items(root):
            return (self.benchmark_dataset(root),)
        samples: list[Sample] = []
        for item in _items(root):
            labels = _matching(item, _LABEL)
            for part, path in _matching(item, _PART).items():
                try:
                    samples += _bands(root, path, labels.get(part))
                except ImageError as error:
                    name = path.relative_to(root).as_posix()
                    callback.on_skipped(Skipped(name=name, reason=str(error)))
        return (
            self.dataset(
                root,
                normals=(sample for sample in samples if not sample.is_anomaly),
                anomalies=(sample for sample in samples if sample.is_anomaly),
            ),
        )


def _bands(root: Path, path: Path, label: Path | None) -> list[Sample]:
    if label is None:
        raise ImageError("it has no label, so its bands may be normal or not")
    height, width = image_shape(path)
    if height < _BANDS:
        raise ImageError(f"it is {height} pixels high, too low to be cut into {_BANDS} bands")
    mask = read_masks([label], width, height)
    edges = [height * band // _BANDS for band in range(_BANDS + 1)]
    return [
        region_sample(
            root,
            path,
            band,
            (0, edges[band], width, edges[band + 1]),
            _DEFECT if mask[edges[band] : edges[band + 1]].any() else GOOD,
        )
        for band in range(_BANDS)
    ]


def _items(folder: Path) -> list[Path]:
    return [
        inner
        for inner in subfolders(folder)
        if _ITEM.fullmatch(inner.name) and _matching(inner, _PART)
    ]


def _matching(item: Path, pattern: re.Pattern[str]) -> dict[str, Path]:
    """The item's image files by their part, `part0` and so on."""
    found: dict[str, Path] = {}
    for path in files(item):
        match = pattern.fullmatch(path.stem)
        if match and path.suffix.lower() in IMAGE_SUFFIXES:
            found.setdefault(match[match.lastindex or 0].lower(), path)
    return found


def _is_cut(folder: Path) -> bool:
    test = subfolder(folder, "test")
    if test is None or subfolder(folder, "train", GOOD) is None:
        return False
    return {inner.name.lower() for inner in subfolders(test)} == {GOOD, _DEFECT}
