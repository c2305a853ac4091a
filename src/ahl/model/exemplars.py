"""Training images that a model keeps, as prepared features and small pictures.

Reasons for a score compare an image with them, and updates train on them and check their scores,
without needing the images themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ahl._common.errors import ImageError
from ahl._common.spacing import evenly_spaced
from ahl._common.tensor_file import tensor_of
from ahl._common.types import ImageItem, Pixels
from ahl.data.pictures import THUMBNAIL, Picture
from ahl.features.maps import FeatureLayout, FeatureMaps
from ahl.features.table import FeatureTable

SIDE: Final = 64
"""Side of a picture in pixels."""

Role = Literal["normal", "anomaly", "pseudo", "threshold"]
"""Role of an image in training; `"threshold"`: a normal that the model was not trained on."""

MOST: Final[dict[Role, int]] = {"normal": 256, "anomaly": 256, "pseudo": 128, "threshold": 512}
"""Largest number of images kept per role; of more, evenly spaced ones are kept."""

_LARGEST: Final = 65504.0  # number of half precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemplar:
    """A kept image.

    Attributes:
        role: its role in training.
        name: its name in the manifest; empty for a model trained on features.
        sha256: hash of its content; empty for a model trained on features.
        class_name: its class; for a pseudo anomaly the generator's name.
    """

    role: Role
    name: str
    sha256: str
    class_name: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Exemplars:
    """The kept images, in order: normals, anomalies, pseudo anomalies, then later ones.

    Attributes:
        images: role, name and class of each image.
        rows: (N, row_size) float16, prepared maps; the memory's evidence for normals and pseudo
            anomalies is that of training, which ignores their own patches.
        pictures: (N, SIDE, SIDE, 3) uint8; black for an image that could not be read again. Shape
            (0, SIDE, SIDE, 3) for a model trained on features.
    """

    images: tuple[Exemplar, ...]
    rows: Tensor
    pictures: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def of_role(self, *roles: Role) -> NDArray[np.int64]:
        """Indices (n,) of the images with one of the roles, in order."""
        return np.array([i for i, one in enumerate(self.images) if one.role in roles], np.int64)

    def chosen(self, indices: NDArray[np.int64]) -> Self:
        """The images at the indices (n,)."""
        at = torch.from_numpy(indices)
        return type(self)(
            images=tuple(self.images[i] for i in indices),
            rows=self.rows[at],
            pictures=self.pictures[at] if len(self.pictures) else self.pictures,
        )

    def __add__(self, other: Exemplars) -> Exemplars:
        pictures = torch.cat([self.pictures, other.pictures])
        images = self.images + other.images
        if len(pictures) != len(images):
            pictures = pictures[:0]
        return Exemplars(images=images, rows=torch.cat([self.rows, other.rows]), pictures=pictures)

    def picture(self, index: int) -> Pixels | None:
        """The picture (SIDE, SIDE, 3) of an image; None for a model trained on features."""
        return self.pictures[index].numpy() if len(self.pictures) else None

    def tensors(self) -> dict[str, Tensor]:
        """The tensors by name."""
        return {"rows": self.rows, "pictures": self.pictures}

    @classmethod
    def read(cls, images: tuple[Exemplar, ...], tensors: dict[str, Tensor], *, width: int) -> Self:
        """Rebuild from images and `tensors`, where row_size is `width`.

        Raises:
            ValueError: if they are inconsistent.
        """
        pictures = tensor_of(tensors, "pictures", torch.uint8, None, SIDE, SIDE, 3)
        if len(pictures) not in (0, len(images)):
            raise ValueError("an exemplar has no picture")
        rows = tensor_of(tensors, "rows", torch.float16, len(images), width)
        return cls(images=images, rows=rows, pictures=pictures)


def no_exemplars(width: int) -> Exemplars:
    """Empty exemplars with rows of `width` values."""
    return _exemplars("normal", [], torch.empty(0, width))


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidates:
    """Images of one role, some of which are kept.

    Attributes:
        role: their role in training.
        classes: class of each image.
        items: the images, for their pictures; None if there are only features.
    """

    role: Role
    classes: Sequence[str]
    items: Sequence[ImageItem] | None


def new_exemplars(
    role: Role, images: Sequence[tuple[ImageItem, str, FeatureMaps]], width: int
) -> Exemplars:
    """Make exemplars of images that were read after training.

    Args:
        role: their role.
        images: each with its class and its prepared maps, (1, C, H_s, W_s) per scale.
        width: row_size of the maps.
    """
    rows = [FeatureLayout.of(maps).join(maps) for _, _, maps in images]
    named = [(item, class_name) for item, class_name, _ in images]
    return _exemplars(role, named, torch.cat([torch.empty(0, width), *rows]))


def keep_exemplars(features: FeatureTable, groups: Sequence[Candidates]) -> Exemplars:
    """Keep images of each role, evenly spaced ones if there are more than `MOST`.

    Args:
        features: prepared features of all images, one group after another.
        groups: the groups, one per role.
    """
    kept, first = no_exemplars(features.layout.row_size), 0
    for group in groups:
        count, items = len(group.classes), group.items
        places = evenly_spaced(count, MOST[group.role])
        chosen = [(None if items is None else items[i], group.classes[i]) for i in places]
        kept += _exemplars(group.role, chosen, features.rows(first + places))
        first += count
    return kept


def _exemplars(
    role: Role, images: Sequence[tuple[ImageItem | None, str]], rows: Tensor
) -> Exemplars:
    """Make exemplars of one role; an image is None if there are only features."""
    pictures = [small_picture(item) for item, _ in images if item is not None]
    blank = torch.empty(0, SIDE, SIDE, 3, dtype=torch.uint8)
    return Exemplars(
        images=tuple(
            Exemplar(
                role=role,
                name="" if item is None else item.name,
                sha256="" if item is None else item.key,
                class_name=class_name,
            )
            for item, class_name in images
        ),
        rows=half_rows(rows),
        pictures=torch.from_numpy(np.stack(pictures)) if pictures else blank,
    )


def half_rows(rows: Tensor) -> Tensor:
    """Rows in half precision, clipped to its range."""
    return rows.clamp(-_LARGEST, _LARGEST).half()


def small_picture(item: ImageItem) -> Pixels:
    """Make the picture (SIDE, SIDE, 3) of an image; black if it cannot be read."""
    try:
        image = Image.fromarray(item.load())
    except ImageError:
        return np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)).copy()


def thumbnails_of(pictures: Sequence[Picture[Any]]) -> Tensor:
    """Thumbnails (N, 64, 64) of training images as a tensor, as a model keeps them."""
    none = np.empty((0, THUMBNAIL, THUMBNAIL), dtype=np.uint8)
    return torch.from_numpy(np.concatenate([none, *(one.thumbnail[None] for one in pictures)]))


def read_thumbnails(tensors: dict[str, Tensor]) -> Tensor:
    """Read the thumbnails (N, 64, 64) of a model file.

    Raises:
        ValueError: if they are missing or have another form.
    """
    return tensor_of(tensors, "thumbnails", torch.uint8, None, THUMBNAIL, THUMBNAIL)
