"""Training images that a model keeps: their features as the heads see them, and small pictures.

They are what an image is compared with when somebody asks why, and what a model is trained on
again, and held to, when it is corrected where the images themselves no longer are.
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
"""Of a picture, in pixels."""

Role = Literal["normal", "anomaly", "pseudo", "threshold"]
"""Role of an image in training; `"threshold"`: a normal that the model was not trained on."""

MOST: Final[dict[Role, int]] = {"normal": 256, "anomaly": 256, "pseudo": 128, "threshold": 512}
"""Images kept of each role; of more, evenly spaced ones."""

_LARGEST: Final = 65504.0  # number of half precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemplar:
    """One image kept.

    Attributes:
        role: what it was to the model.
        name: as in the manifest; empty where the model was given features.
        sha256: of its content; empty where the model was given features.
        class_name: its class; of a pseudo anomaly, the generator.
    """

    role: Role
    name: str
    sha256: str
    class_name: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Exemplars:
    """The images kept, in their order: normals, anomalies, pseudo anomalies, then later ones.

    Attributes:
        images: what is known of each.
        rows: (N, row_size) float16, of the maps that the heads see; of normals and pseudo anomalies
            with the memory's evidence of training, for which their own patches did not count.
        pictures: (N, SIDE, SIDE, 3) uint8; black where an image could not be read again. Shape
            (0, SIDE, SIDE, 3) where the model was given features.
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
        """The picture of an image, (SIDE, SIDE, 3); None if there is none."""
        return self.pictures[index].numpy() if len(self.pictures) else None

    def tensors(self) -> dict[str, Tensor]:
        """The tensors by name."""
        return {"rows": self.rows, "pictures": self.pictures}

    @classmethod
    def read(cls, images: tuple[Exemplar, ...], tensors: dict[str, Tensor], *, width: int) -> Self:
        """The inverse of `tensors`, where row_size is `width`.

        Raises:
            ValueError: if they do not fit together.
        """
        pictures = tensor_of(tensors, "pictures", torch.uint8, None, SIDE, SIDE, 3)
        if len(pictures) not in (0, len(images)):
            raise ValueError("an exemplar has no picture")
        rows = tensor_of(tensors, "rows", torch.float16, len(images), width)
        return cls(images=images, rows=rows, pictures=pictures)


def no_exemplars(width: int) -> Exemplars:
    """No exemplars, of rows of `width` values."""
    return _exemplars("normal", [], torch.empty(0, width))


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidates:
    """Images of one role, of which some are kept.

    Attributes:
        role: what they are to the model.
        classes: of each.
        items: the images themselves, to take pictures of; None where there are only features.
    """

    role: Role
    classes: Sequence[str]
    items: Sequence[ImageItem] | None


def new_exemplars(
    role: Role, images: Sequence[tuple[ImageItem, str, FeatureMaps]], width: int
) -> Exemplars:
    """Keep images that were read later.

    Args:
        role: what they are to the model.
        images: each with its class, and its maps (1, C, H_s, W_s) a scale as the heads see them.
        width: row_size of these.
    """
    rows = [FeatureLayout.of(maps).join(maps) for _, _, maps in images]
    named = [(item, class_name) for item, class_name, _ in images]
    return _exemplars(role, named, torch.cat([torch.empty(0, width), *rows]))


def keep_exemplars(features: FeatureTable, groups: Sequence[Candidates]) -> Exemplars:
    """Keep some images of each role; evenly spaced ones where there are more than `MOST`.

    Args:
        features: of all images as the heads see them, one group after another.
        groups: what they are.
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
    """Exemplars of one role: images, None where there are only features, with their classes."""
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
    """Rows in half precision; what is too large for it becomes its largest number."""
    return rows.clamp(-_LARGEST, _LARGEST).half()


def small_picture(item: ImageItem) -> Pixels:
    """A picture (SIDE, SIDE, 3) of an image; black if it cannot be read."""
    try:
        image = Image.fromarray(item.load())
    except ImageError:
        return np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)).copy()


def thumbnails_of(pictures: Sequence[Picture[Any]]) -> Tensor:
    """Thumbnails (N, 64, 64) of training images, as a model keeps them."""
    none = np.empty((0, THUMBNAIL, THUMBNAIL), dtype=np.uint8)
    return torch.from_numpy(np.concatenate([none, *(one.thumbnail[None] for one in pictures)]))


def read_thumbnails(tensors: dict[str, Tensor]) -> Tensor:
    """Thumbnails (N, 64, 64) of a model file.

    Raises:
        ValueError: if they are none.
    """
    return tensor_of(tensors, "thumbnails", torch.uint8, None, THUMBNAIL, THUMBNAIL)
