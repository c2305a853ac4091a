"""Comparison of images with a model's training images, by part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ahl._common.callbacks import Callback
from ahl._common.types import Sample
from ahl.data.images.sources import LabelledImage
from ahl.data.likeness import near_copies
from ahl.data.parts import number_parts, part_of, tell_parts, with_copies_together
from ahl.data.pictures import Picture, look_at
from ahl.model.exemplars import thumbnails_of
from ahl.model.trained import TrainedModel

T = TypeVar("T", Sample, LabelledImage)


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedParts:
    """Comparison of N images with a model's training images.

    Attributes:
        trained: (N,) True for an image of a part that the model was trained on.
        groups: (N,) int64, equal numbers for photographs of one part.
        readable: (N,) False for an image that could not be read.
        copied: (image, training file) indices of each image that is a copy of a training image;
            empty if the model no longer knows the files of its thumbnails.
    """

    trained: NDArray[np.bool_]
    groups: NDArray[np.int64]
    readable: NDArray[np.bool_]
    copied: tuple[tuple[int, int], ...] = ()


def compare_with_training(
    model: TrainedModel,
    images: Sequence[T],
    *,
    group_by: str | None = None,
    pictures: Sequence[Picture[T]] | None = None,
    callback: Callback | None = None,
) -> TrainedParts:
    """Find the parts of images, and the images of parts that the model was trained on.

    As in training, a part is given or read from the name; an image without one belongs to the part
    of its copies.

    Args:
        model: the model; one that was trained on feature maps has no parts.
        images: images that are not training images themselves.
        group_by: as in `ahl.data.parts.part_of`; None: the one of the training, if any.
        pictures: pictures of the readable images, in order; None decodes each image once.
        callback: receives progress.

    Raises:
        ConfigurationError: if `group_by` is not a regular expression.
    """
    manifest, callback = model.manifest, callback or Callback()
    place = {image.name: index for index, image in enumerate(images)}
    parts: set[str | None] = set(manifest.parts)
    if (group_by := group_by or manifest.group_by) is not None:
        images = tell_parts(images, group_by)
        parts |= {part_of(file.name, group_by) for file in manifest.files} - {None}
    if pictures is None:
        pictures, _ = look_at(images, callback, model.config.features.bit_depth)
    places = [place[picture.sample.name] for picture in pictures]
    kept = model.thumbnails.numpy()
    thumbnails = np.concatenate([kept, thumbnails_of(pictures).numpy()])
    trained = np.array([image.part in parts for image in images], dtype=np.bool_)
    pairs, copied = [], list[tuple[int, int]]()
    for one, other, _ in near_copies(thumbnails, callback, known=len(kept)):
        new = places[other - len(kept)]
        if one >= len(kept):
            pairs.append((places[one - len(kept)], new))
            continue
        copied.append((new, one))
        if images[new].part is None:
            trained[new] = True
    groups = number_parts(image.part for image in with_copies_together(images, pairs))
    readable = np.zeros(len(images), dtype=np.bool_)
    readable[places] = True
    return TrainedParts(
        trained=np.isin(groups, groups[trained]),
        groups=groups,
        readable=readable,
        copied=tuple(copied) if len(kept) == len(manifest.files) else (),
    )
