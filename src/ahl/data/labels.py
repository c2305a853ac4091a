"""Checks of images and labels that callers give."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ahl._common.errors import DataError
from ahl._common.types import GOOD, ImageItem
from ahl.data.images.reading import ImageSource
from ahl.data.images.sources import LabelledImage, label_images

Labels = Sequence[int | str] | NDArray[Any]
"""One label per image: 0 (good) or 1 (anomalous), or class names, with `"good"` for good images."""

Groups = Sequence[int | str | None] | NDArray[Any]
"""The part that each image shows: equal values for photographs of one part; None if unknown."""


def class_names(labels: Labels | None, count: int) -> list[str]:
    """Class names of labels: 0 becomes `"good"`, 1 `"anomaly"`; names are kept.

    Raises:
        DataError: if labels are missing, are not one per image, or mix numbers and names.
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
    value = label.item() if hasattr(label, "item") and np.ndim(label) == 0 else label
    return isinstance(value, Real) and value in (0, 1)


def labelled(
    images: Sequence[ImageSource], labels: Labels | None, groups: Groups | None = None
) -> tuple[list[LabelledImage], list[LabelledImage]]:
    """Name and label images, and separate good images from anomalies.

    Args:
        images: all images.
        labels: as for `class_names`.
        groups: the part that each image shows; None, or an entry of None, if unknown.

    Returns:
        good images and anomalies.

    Raises:
        DataError: as `class_names`, or if the groups are not one per image.
    """
    classes = class_names(labels, len(images))
    parts = _parts(groups, len(images))
    good = [index for index, name in enumerate(classes) if name == GOOD]
    bad = [index for index, name in enumerate(classes) if name != GOOD]
    named = (
        label_images([images[i] for i in good], GOOD),
        label_images([images[i] for i in bad], [classes[i] for i in bad]),
    )
    goods, bads = (
        [replace(image, part=parts[i]) for image, i in zip(of, places, strict=True)]
        for of, places in zip(named, (good, bad), strict=True)
    )
    return goods, bads


def check_classes(normals: Sequence[LabelledImage], anomalies: Sequence[LabelledImage]) -> None:
    """Refuse training sets with too few images or mixed-up labels.

    Raises:
        DataError: if there are no anomalies or fewer than two normals, or an anomaly is labelled
            good.
    """
    if len(normals) < 2:
        raise DataError(
            f"There are {len(normals)} readable normal images; at least 2 are needed, and a "
            "useful detector needs some dozens."
        )
    if not anomalies:
        raise DataError(
            "There are no readable anomalies; at least one labelled anomaly is needed. Put "
            "images of one kind of defect into a folder named after it, beside good/."
        )
    if any(image.class_name == GOOD for image in anomalies):
        raise DataError('An anomaly has the class "good"; name its kind of defect instead.')


def check_contradictions(images: Sequence[LabelledImage], items: Sequence[ImageItem]) -> None:
    """Refuse images whose items show the same content, one labelled good and one anomalous.

    Raises:
        DataError: if there are such images.
    """
    first: dict[str, LabelledImage] = {}
    for image, item in zip(images, items, strict=True):
        other = first.setdefault(item.key, image)
        if (other.class_name == GOOD) != (image.class_name == GOOD):
            raise DataError(
                f"{other.name} ({other.class_name}) and {image.name} ({image.class_name}) are the "
                "same image, once as good and once as a defect; remove the wrong one."
            )


def _parts(groups: Groups | None, count: int) -> list[str | None]:
    if groups is None:
        return [None] * count
    given: Any = groups
    given = list(given.tolist() if hasattr(given, "tolist") else given)  # of numpy, torch, pandas
    if len(given) != count:
        raise DataError(f"There are {count} images but {len(given)} groups; expected one an image.")
    return [None if one is None else str(one) for one in given]
