"""Images on their way to features: named, labelled, hashed, and decoded ahead of their use."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np

from ahl._common.callbacks import Callback
from ahl._common.errors import DataError, ImageError
from ahl._common.types import ImageItem, ImageSize, Pixels, Sample, Skipped
from ahl.config import FeatureConfig
from ahl.data.images.numbers import FULL_DEPTH
from ahl.data.images.reading import (
    ImageSource,
    content_hash,
    pinned,
    read_pixels,
)
from ahl.data.images.resizing import resize_pixels

DECODERS: Final = 2
"""Images decoded at a time, ahead of the backbone."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledImage:
    """One training image."""

    source: ImageSource
    name: str
    """Unique among the training images; kept in the model's manifest."""
    class_name: str
    """`"good"`, or the anomaly class."""
    part: str | None = None
    """As in `Sample`."""


def from_samples(samples: Iterable[Sample]) -> list[LabelledImage]:
    """Training images out of a dataset's samples."""
    return [
        LabelledImage(source=s.source, name=s.name, class_name=s.class_name, part=s.part)
        for s in samples
    ]


def listed_images(images: Iterable[ImageSource] | str | Path) -> list[ImageSource]:
    """The images as a list, whatever holds them.

    Raises:
        DataError: if it is one image, whose rows or letters would be taken for images, or holds
            tensors or arrays of a type that is not read.
    """
    if isinstance(images, (str, Path)):
        raise DataError(f"{images} is one path; expected a list of images, such as ['{images}'].")
    given: Any = images
    if isinstance(given, np.ndarray) and given.ndim == 1 and given.dtype.kind in "UO":
        given = given.tolist()  # of paths, or of images of several sizes
    for one in (given, *(given[:1] if isinstance(given, Sequence) else [])):
        kind, dtype = type(one), getattr(one, "dtype", None)
        is_tensor = kind.__module__.partition(".")[0] == "torch"  # which need not be installed
        if is_tensor or (isinstance(one, np.ndarray) and dtype != np.uint8):
            way = "images.mul(255).byte().permute(0, 2, 3, 1).numpy()"
            way = way if is_tensor else "(images * 255).astype(np.uint8)"
            raise DataError(
                f"images are {kind.__name__} of {dtype}; expected paths, Pillow images or uint8 "
                f"arrays (H, W, 3) of values 0 to 255: {way} for values 0 to 1."
            )
    if not isinstance(given, Iterable) or (isinstance(given, np.ndarray) and given.ndim < 4):
        raise DataError("Give a list of images; for a single one, write [image].")
    listed = list(given)
    for index, image in enumerate(listed):
        if not isinstance(image, (*get_args(ImageSource)[:-1], os.PathLike, np.ndarray)):
            raise DataError(
                f"images[{index}] is of {type(image).__name__}; expected a path, a Pillow image or "
                "a uint8 array (H, W, 3)."
            )
    return listed


def label_images(
    images: Sequence[ImageSource], classes: Sequence[str] | str
) -> list[LabelledImage]:
    """Name and label images given directly: a path by itself, another image by its position.

    Raises:
        DataError: if there are not as many classes as images, or one image is given for a list.
    """
    images = listed_images(images)
    names = [classes] * len(images) if isinstance(classes, str) else list(classes)
    if len(names) != len(images):
        raise DataError(
            f"There are {len(images)} images but {len(names)} classes; expected one each."
        )
    return [
        LabelledImage(
            source=image,
            name=Path(image).as_posix() if isinstance(image, (str, Path)) else f"{label}[{i}]",
            class_name=label,
        )
        for i, (image, label) in enumerate(zip(images, names, strict=True))
    ]


def image_item(
    source: ImageSource, name: str, image_size: ImageSize, bit_depth: int = FULL_DEPTH
) -> ImageItem:
    """The item to extract for one image; a file that changes from now on is not decoded.

    Raises:
        ImageError: if the image cannot be read at all.
    """
    key = content_hash(source)
    load = _loader(pinned(source, key), image_size, bit_depth)
    return ImageItem(name=name, key=key, load=load)


Look = Callable[[int, Pixels], None]
"""Receives an image's position and its pixels as they are read, (H, W, 3), in any thread."""


def unhashed_items(
    images: Iterable[ImageSource],
    image_size: ImageSize,
    bit_depth: int = FULL_DEPTH,
    look: Look | None = None,
) -> Iterator[ImageItem]:
    """Items named by their positions, without a key: scoring needs none."""
    for index, source in enumerate(images):
        seen = None if look is None else partial(look, index)
        yield ImageItem(name=str(index), key="", load=_loader(source, image_size, bit_depth, seen))


def _loader(
    source: ImageSource,
    image_size: ImageSize,
    bit_depth: int,
    look: Callable[[Pixels], None] | None = None,
) -> Callable[[], Pixels]:
    def load() -> Pixels:
        pixels = read_pixels(source, bit_depth=bit_depth)
        if look is not None:
            look(pixels)
        return resize_pixels(pixels, image_size)

    return load


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DecodedBatch:
    """Images decoded together, and those since the last batch that could not be.

    Attributes:
        indices: of the decoded ones among all.
        pixels: (n, H, W, 3) uint8 of these; None if there are none.
        skipped: the others, with their indices.
    """

    indices: list[int]
    pixels: Pixels | None
    skipped: list[tuple[int, Skipped]]


def decoded_batches(
    items: Iterable[ImageItem], size: int, *, callback: Callback | None = None
) -> Iterator[DecodedBatch]:
    """Decode items of one shape in parallel, in order, holding only a few batches.

    The callback receives how long decoding was waited for.

    Yields:
        batches of `size` images; every item is in one of them.
    """
    callback = callback or Callback()
    upcoming = iter(items)
    pool = ThreadPoolExecutor(max_workers=DECODERS)
    ahead: deque[tuple[str, Future[Pixels]]] = deque()

    def top_up() -> None:
        while len(ahead) < 2 * size + DECODERS and (item := next(upcoming, None)) is not None:
            ahead.append((item.name, pool.submit(item.load)))

    indices: list[int] = []
    images: list[Pixels] = []
    skipped: list[tuple[int, Skipped]] = []
    try:
        top_up()
        for index in count():
            if not ahead:
                return
            name, decoding = ahead.popleft()
            try:
                with callback.part("decoding"):
                    images.append(decoding.result())
                indices.append(index)
            except ImageError as error:
                skipped.append((index, Skipped(name=name, reason=str(error))))
            top_up()
            if len(images) == size or not ahead:
                pixels = np.stack(images) if images else None
                yield DecodedBatch(indices=indices, pixels=pixels, skipped=skipped)
                indices, images, skipped = [], [], []
    finally:
        pool.shutdown(cancel_futures=True)


def readable_items(
    images: Sequence[LabelledImage],
    features: FeatureConfig,
    *,
    decode: bool,
    strict: bool,
    callback: Callback,
) -> tuple[list[LabelledImage], list[ImageItem]]:
    """Hash the images; those that cannot be opened are skipped, or raised when strict.

    Args:
        images: the training images.
        features: size that they will be resized to, and their bit depth.
        decode: also decode each once, for runs that draw images before their features are
            taken, and must not meet a damaged one then.
        strict: raise instead of skipping.
        callback: receives what is skipped.

    Returns:
        the images kept, each with its hash, and their items.
    """
    kept, items = [], []
    for image in images:
        try:
            item = image_item(image.source, image.name, features.size, features.bit_depth)
            if decode:
                item.load()
        except ImageError as error:
            report_skipped(Skipped(name=image.name, reason=str(error)), strict, callback)
        else:
            kept.append(replace(image, source=pinned(image.source, item.key)))
            items.append(item)
    return kept, items


def first_readable(items: Sequence[ImageItem]) -> Pixels:
    """Decode the first item that can be decoded (any more).

    Raises:
        ImageError: if none can.
    """
    for item in items[:-1]:
        with suppress(ImageError):
            return item.load()
    return items[-1].load()


def report_skipped(skipped: Skipped, strict: bool, callback: Callback) -> None:
    """Report a skipped image, or stop when strict.

    Raises:
        ImageError: if strict.
    """
    if strict:
        raise ImageError(f"{skipped.name}: {skipped.reason}")
    callback.on_skipped(skipped)
