"""AITEX: long strips of woven fabric, cut into square tiles."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final, final

from ahl._common.callbacks import Callback
from ahl._common.errors import DataError, ImageError
from ahl._common.types import GOOD, Box, Sample, Skipped
from ahl.benchmark.datasets.raw_folders import region_sample, subfolder
from ahl.benchmark.datasets.reader import DatasetReader
from ahl.data.folders import Dataset
from ahl.data.images.finding import find_images
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
    """Strips are cut into tiles 256 pixels wide over their whole height, from the left.

    An incomplete last tile is dropped. Of a defect image, the tiles that its mask (or the union
    of its masks) touches are anomalies, the others unused; without a mask it is left out.
    """

    name = "aitex"
    title = "AITEX"
    expects = (
        "NODefect_images/<fabric>/*.png, Defect_images/NNNN_CCC_NN.png "
        "and Mask_images/NNNN_CCC_NN_mask.png"
    )
    hard_classes = ("broken_end", "broken_pick", "cut_selvage", "fuzzyball", "nep", "weft_crack")

    def recognises(self, folder: Path) -> bool:
        """Whether it holds normal and defect images."""
        return bool(subfolder(folder, _NORMAL) and subfolder(folder, _DEFECTS))

    def read_root(self, root: Path, callback: Callback) -> tuple[Dataset, ...]:
        """All normal tiles, and the tiles that a mask touches."""
        images = [path for path in _images(root, _DEFECTS) if not _MASK_ENDING.search(path.stem)]
        masks = _masks(root)
        if images and not masks:
            raise DataError(
                f"{root} holds defect images but no masks, without which no tile is known to be "
                f"anomalous. Add {_MASKS} with files such as {images[0].stem}_mask.png."
            )
        normals: list[Sample] = []
        anomalies: list[Sample] = []
        for path in _images(root, _NORMAL):
            try:
                tiles = [box for box, _ in _tiles(path, [])]
            except ImageError as error:
                callback.on_skipped(_left_out(root, path, error))
                continue
            normals += [region_sample(root, path, i, box, GOOD) for i, box in enumerate(tiles)]
        for path in images:
            try:
                anomalies += _anomalous_tiles(root, path, masks.get(_image_of(path), []))
            except ImageError as error:
                callback.on_skipped(_left_out(root, path, error))
        return (self.dataset(root, normals=normals, anomalies=anomalies),)


def _anomalous_tiles(root: Path, path: Path, masks: list[Path]) -> list[Sample]:
    fields = path.stem.split("_")
    class_name = _CLASSES.get(fields[1]) if len(fields) > 1 else None
    if class_name is None:
        raise ImageError("its name has no known defect code as its second field")
    if not masks:
        raise ImageError("it has no mask")
    found = [
        region_sample(root, path, number, box, class_name)
        for number, (box, touched) in enumerate(_tiles(path, masks))
        if touched
    ]
    if not found:
        raise ImageError("its mask touches no whole tile")
    return found


def _tiles(path: Path, masks: list[Path]) -> Iterator[tuple[Box, bool]]:
    """Boxes of the whole tiles, and whether a mask touches them."""
    height, width = image_shape(path)
    if width < _TILE:
        raise ImageError(f"it is {width} pixels wide, less than a tile of {_TILE}")
    united = read_masks(masks, width, height)
    for left in range(0, width - _TILE + 1, _TILE):
        right = left + _TILE
        yield (left, 0, right, height), bool(united[:, left:right].any())


def _masks(root: Path) -> dict[str, list[Path]]:
    """Masks by the image they belong to, wherever they lie beside the defect images."""
    masks: defaultdict[str, list[Path]] = defaultdict(list)
    for path in (*_images(root, _MASKS), *_images(root, _DEFECTS)):
        if _MASK_ENDING.search(path.stem):
            masks[_image_of(path)].append(path)
    return masks


def _image_of(path: Path) -> str:
    return _MASK_ENDING.sub("", path.stem).casefold()


def _images(root: Path, name: str) -> list[Path]:
    folder = subfolder(root, name)
    return find_images(folder, recursive=True) if folder else []


def _left_out(root: Path, path: Path, error: ImageError) -> Skipped:
    return Skipped(name=path.relative_to(root).as_posix(), reason=str(error))
