"""Images and labels as callers give them, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ahl._common.errors import DataError
from ahl._common.types import GOOD
from ahl.data.images.reading import ImageSource
from ahl.data.images.sources import LabelledImage, label_images

Labels = Sequence[int | str] | NDArray[Any]
"""One label an image: 0 (good) and 1 (anomalous), or class names, of which `"good"` is good."""


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
    given = labels.tolist() if isinstance(labels, np.ndarray) else list(labels)
    if len(given) != count:
        raise DataError(f"There are {count} images but {len(given)} labels; expected one an image.")
    if all(isinstance(one, str) and one for one in given):
        return [str(one) for one in given]
    if all(not isinstance(one, str) and one in (0, 1) for one in given):
        return [GOOD if one == 0 else "anomaly" for one in given]
    odd = next((one for one in given if isinstance(one, str) or one not in (0, 1)), given[0])
    raise DataError(
        f"A label is {odd!r}; expected 0 (good) and 1 (anomalous), or class names, not both."
    )


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
