"""Datasets of large images that are cut into regions, labelled by masks."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final, final

from ahl._common.callbacks import Callback
from ahl._common.errors import DataError, ImageError
from ahl._common.types import GOOD, Box, Sample
from ahl.benchmark.datasets.raw_folders import (
    files,
    left_out_if_unusable,
    region_samples,
    subfolder,
    subfolders,
)
from ahl.benchmark.datasets.reader import DatasetReader
from ahl.data.folders import Dataset
from ahl.data.images.finding import find_images
from ahl.data.images.formats import IMAGE_SUFFIXES
from ahl.data.images.reading import image_shape
from ahl.data.masks import read_masks

_NORMAL, _DEFECTS, _MASKS = "NODefect_images", "Defect_images", "Mask_images"
_TILE = 256
_MASK_ENDING = re.compile(r"_mask\d*$", re.IGNORECASE)

_CLASSES: Final = {
    "002": "broken_end",
    "006": "broken_yarn",
    "010": "broken_pick",
    "016": "weft_curling",
    "019": "fuzzyball",
    "022": "cut_selvage",
    "023": "crease",
    "025": "warp_ball",
    "027": "knots",
    "029": "contamination",
    "030": "nep",
    "036": "weft_crack",
}
"""Anomaly class by the second field of a defect image's name."""


@final
class AITEXReader(DatasetReader):
    """Reader of AITEX: strips of fabric, cut from the left into tiles of 256 pixels.

    A tile has the strip's whole height; an incomplete last tile is dropped. In a defect image,
    tiles that a mask touches are anomalies, the others are not used; a defect image without a mask
    is left out.

    Also reads tiles in MVTec AD's layout, as `ahl datasets prepare` writes them, and keeps their
    split of the normals.
    """

    name = "aitex"
    title = "AITEX"
    expects = (
        "NODefect_images/<fabric>/*.png, Defect_images/NNNN_CCC_NN.png "
        "and Mask_images/NNNN_CCC_NN_mask.png, or its tiles as train/good/, test/good/ and "
        "test/<class>/"
    )
    hard_classes = ("broken_end", "broken_pick", "cut_selvage", "fuzzyball", "nep", "weft_crack")

    def recognises(self, folder: Path) -> bool:
        """True for a folder with normal and defect images, or with tiles in MVTec AD's layout."""
        return _is_strips(folder) or _is_cut(folder, _CLASSES.values())

    def read_root(self, root: Path, callback: Callback) -> tuple[Dataset, ...]:
        """Read all tiles of normal images, and the tiles that a mask touches."""
        if not _is_strips(root):
            return (self.benchmark_dataset(root),)
        defects = [path for path in _images(root, _DEFECTS) if not _MASK_ENDING.search(path.stem)]
        masks: defaultdict[str, list[Path]] = defaultdict(list)
        for path in (*_images(root, _MASKS), *_images(root, _DEFECTS)):
            if _MASK_ENDING.search(path.stem):
                masks[_image_of(path)].append(path)
        if defects and not masks:
            raise DataError(
                f"{root} holds defect images but no masks, without which no tile is known to be "
                f"anomalous. Add {_MASKS} with files such as {defects[0].stem}_mask.png."
            )
        samples: list[Sample] = []
        for path in _images(root, _NORMAL):
            with left_out_if_unusable(root, path, callback):
                samples += region_samples(root, path, [(box, GOOD) for box, _ in _tiles(path, [])])
        for path in defects:
            with left_out_if_unusable(root, path, callback):
                samples += _anomalous_tiles(root, path, masks[_image_of(path)])
        return (self.dataset(root, samples),)


def _is_strips(folder: Path) -> bool:
    return bool(subfolder(folder, _NORMAL) and subfolder(folder, _DEFECTS))


def _anomalous_tiles(root: Path, path: Path, masks: list[Path]) -> list[Sample]:
    fields = path.stem.split("_")
    class_name = _CLASSES.get(fields[1]) if len(fields) > 1 else None
    if class_name is None:
        raise ImageError("its name has no known defect code as its second field")
    if not masks:
        raise ImageError("it has no mask")
    tiles = [(box, class_name if touched else None) for box, touched in _tiles(path, masks)]
    found = region_samples(root, path, tiles)
    if not found:
        raise ImageError("its mask touches no whole tile")
    return found


def _tiles(path: Path, masks: list[Path]) -> Iterator[tuple[Box, bool]]:
    """Boxes of the whole tiles, and True for those that a mask touches."""
    height, width = image_shape(path)
    if width < _TILE:
        raise ImageError(f"it is {width} pixels wide, less than a tile of {_TILE}")
    united = read_masks(masks, width, height)
    for left in range(0, width - _TILE + 1, _TILE):
        right = left + _TILE
        yield (left, 0, right, height), bool(united[:, left:right].any())


def _image_of(path: Path) -> str:
    return _MASK_ENDING.sub("", path.stem).casefold()


def _images(root: Path, name: str) -> list[Path]:
    folder = subfolder(root, name)
    return find_images(folder, recursive=True) if folder else []


_BANDS = 3
_DEFECT = "defect"
_ITEM = re.compile(r"kos\d+", re.IGNORECASE)
_PART = re.compile(r"part\d+", re.IGNORECASE)
_LABEL = re.compile(r"(part\d+)_label", re.IGNORECASE)


@final
class SDDReader(DatasetReader):
    """Reader of KolektorSDD: tall photographs of commutators, each cut into three bands.

    A band is an anomaly if the image's label mask marks a pixel in it, else normal. Images without
    a label are left out. The bands split the height at its thirds, rounded down.

    Also reads bands in MVTec AD's layout (train/good, test/good, test/defect), a common copy of
    this dataset, and keeps its split of the normals.
    """

    name = "sdd"
    title = "SDD"
    expects = (
        "kosNN/PartM.jpg with kosNN/PartM_label.bmp, or its bands as train/good/, test/good/ "
        "and test/defect/"
    )

    def recognises(self, folder: Path) -> bool:
        """True for the items' folders, or the bands in MVTec AD's layout."""
        return bool(_items(folder)) or _is_cut(folder, [_DEFECT])

    def read_root(self, root: Path, callback: Callback) -> tuple[Dataset, ...]:
        """Read the bands of all images."""
        if not _items(root):
            return (self.benchmark_dataset(root),)
        samples: list[Sample] = []
        for item in _items(root):
            labels = _matching(item, _LABEL)
            for part, path in _matching(item, _PART).items():
                with left_out_if_unusable(root, path, callback):
                    samples += region_samples(root, path, _bands(path, labels.get(part)))
        return (self.dataset(root, samples),)


def _bands(path: Path, label: Path | None) -> list[tuple[Box, str]]:
    if label is None:
        raise ImageError("it has no label, so its bands may be normal or not")
    height, width = image_shape(path)
    if height < _BANDS:
        raise ImageError(f"it is {height} pixels high, too low to be cut into {_BANDS} bands")
    mask = read_masks([label], width, height)
    edges = [height * band // _BANDS for band in range(_BANDS + 1)]
    return [
        ((0, top, width, bottom), _DEFECT if mask[top:bottom].any() else GOOD)
        for top, bottom in pairwise(edges)
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


def _is_cut(folder: Path, classes: Iterable[str]) -> bool:
    test = subfolder(folder, "test")
    if test is None or subfolder(folder, "train", GOOD) is None:
        return False
    found = {inner.name.lower() for inner in subfolders(test)}
    return {GOOD} < found <= {GOOD, *classes}
