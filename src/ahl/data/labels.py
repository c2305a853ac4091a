"""Images and labels as callers give them, checked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from ahl._common.errors import DataError
from ahl._common.types import GOOD
from ahl.data.images.reading import ImageSource
from ahl.data.images.sources import LabelledImage, image_list, label_images

Labels = Sequence[int | str] | NDArray[Any]
"""One label an image: 0 (good) and 1 (anomalous), or class names, of which `"good"` is good."""


def listed_images(images: Sequence[ImageSource] | str | Path) -> list[ImageSource]:
    """The images as a list.

    Raises:
        DataError: if they are no list, or of a kind that is not read.
    """
    if isinstance(images, (str, Path)):
        raise DataError(f"{images} is one path; expected a list of images, such as [{images!r}].")
    given: Any = images
    if isinstance(given, np.ndarray) and given.ndim == 1 and given.dtype.kind in "UO":
        given = given.tolist()  # of paths, or of images of several sizes
    for kind, way in (
        (torch.Tensor, "images.mul(255).byte().permute(0, 2, 3, 1).numpy() for values 0 to 1"),
        (np.ndarray, "(images * 255).astype(np.uint8) for values 0 to 1"),
    ):
        first = given[:1] if isinstance(given, Sequence) else []
        for one in (given, *first):
            if isinstance(one, kind) and (kind is torch.Tensor or one.dtype != np.uint8):
                raise DataError(
                    f"images are {kind.__name__} of {one.dtype}; expected paths, Pillow images or "
                    f"uint8 arrays (H, W, 3) of values 0 to 255: {way}."
                )
    listed = image_list(given)
    for index, image in enumerate(listed):
        if not isinstance(image, (*get_args(ImageSource)[:-1], os.PathLike, np.ndarray)):
            raise DataError(
                f"images[{index}] is of {type(image).__name__}; expected a path, a Pillow image or "
                "a uint8 array (H, W, 3)."
            )
    return listed


def class_names(labels: Labels | None, count: int) -> list[str]:
    """Class names of labels: 0 is `"good"`, 1 is `"anomaly"`, names are themselves.

    Raises:
        DataError: if labels are missing, not one an image, or of both kinds.
    """
    if labels is None:
        raise DataError(
            "labels are missing; expected one an image: 0 (good) or 1 (anomalous), or class names "
            'of which "good" is good.'
        )
    given: Any = labels
    given = given.tolist() if hasattr(given, "tolist") else given  # of numpy, torch, pandas
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise DataError(f"labels is {labels!r}; expected a list with one label an image.")
    given = list(given)
    if len(given) != count:
        raise DataError(f"There are {count} images but {len(given)} labels; expected one an image.")
    if all(isinstance(one, str) and one for one in given):
        return [str(one) for one in given]
    if all(_is_flag(one) for one in given):
        return [GOOD if one == 0 else "anomaly" for one in given]
    odd = next(one for one in given if not _is_flag(one))
    raise DataError(
        f"A label is {odd!r}; expected 0 (good) and 1 (anomalous), or class names, not both."
    )


def _is_flag(label: Any) -> bool:  # noqa: ANN401 - whatever a caller gives
    number = isinstance(label, (Real, np.bool_, torch.Tensor))
    return number and np.ndim(label) == 0 and label in (0, 1)


def labelled(
    images: Sequence[ImageSource], labels: Labels | None
) -> tuple[list[LabelledImage], list[LabelledImage]]:
    """Good images and anomalies apart, named and labelled.

    Raises:
        DataError: as `class_names`.
    """
    classes = class_names(labels, len(images))
    good = [image for image, name in zip(images, classes, strict=True) if name == GOOD]
    bad = [image for image, name in zip(images, classes, strict=True) if name != GOOD]
    return label_images(good, GOOD), label_images(bad, [name for name in classes if name != GOOD])
