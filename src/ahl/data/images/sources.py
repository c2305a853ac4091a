"""Images prepared for feature extraction: named, labelled, hashed and decoded ahead."""

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
"""Number of threads that decode images ahead of the backbone."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledImage:
    """A training image with its name and label."""

    source: ImageSource
    name: str
    """Unique among the training images; kept in the model's manifest."""
    class_name: str
    """`"good"`, or the anomaly class."""
    part: str | None = None
    """Name shared by all photographs of one physical part, as in `Sample`."""


def from_samples(samples: Iterable[Sample]) -> list[LabelledImage]:
    """Training images of a dataset's samples."""
    return [
        LabelledImage(source=s.source, name=s.name, class_name=s.class_name, part=s.part)
        for s in samples
    ]


def listed_images(images: Iterable[ImageSource] | str | Path) -> list[ImageSource]:
    """Return the images of any iterable as a list.

    Raises:
        DataError: if it is a single image, whose rows or letters would be taken for images, or
            holds tensors or arrays of an unsupported dtype.
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
    """Name and label images: paths are named by themselves, other images by their position.

    Raises:
        DataError: if there are not as many classes as images, or a single image is given.
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
    """Make the item of an image by hashing it; a file that changes later is refused when decoded.

    Raises:
        ImageError: if the image cannot be opened or hashed.
    """
    key = content_hash(source)
    load = _loader(pinned(source, key), image_size, bit_depth)
    return ImageItem(name=name, key=key, load=load)


Look = Callable[[int, Pixels], None]
"""Receives an image's position and its pixels (H, W, 3) before resizing, in any thread."""


def unhashed_items(
    images: Iterable[ImageSource],
    image_size: ImageSize,
    bit_depth: int = FULL_DEPTH,
    look: Look | None = None,
) -> Iterator[ImageItem]:
    """Yield items named by their positions, without the keys that only training needs."""
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
    """Images decoded together, and those since the last batch that could not be decoded.

    Attributes:
        indices: positions of the decoded images among all.
        pixels: (n, H, W, 3) uint8, the decoded images; None if there are none.
        skipped: the other images, with their positions.
    """

    indices: list[int]
    pixels: Pixels | None
    skipped: list[tuple[int, Skipped]]


def decoded_batches(
    items: Iterable[ImageItem], size: int, *, callback: Callback | None = None
) -> Iterator[DecodedBatch]:
    """Decode items of one shape in parallel and in order, with only a few batches in memory.

    The callback receives the time spent waiting for decoding.

    Yields:
        batches of `size` images, the last one smaller; every item is in one of them.
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
    """Hash images and make their items; unreadable ones are skipped, or raised if strict.

    Args:
        images: the training images.
        features: size that they will be resized to, and their bit depth.
        decode: True to decode each image once, too, for runs that must not meet a damaged one
            later.
        strict: True to raise instead of skipping.
        callback: receives the skipped images.

    Returns:
        the readable images, each with its hash, and their items.

    Raises:
        ImageError: if an image cannot be read and `strict` is set.
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
    """Decode the first item that can still be decoded.

    Raises:
        ImageError: if no item can be decoded.
    """
    for item in items[:-1]:
        with suppress(ImageError):
            return item.load()
    return items[-1].load()


def report_skipped(skipped: Skipped, strict: bool, callback: Callback) -> None:
    """Report a skipped image to the callback, or raise.

    Raises:
        ImageError: if `strict` is set.
    """
    if strict:
        raise ImageError(f"{skipped.name}: {skipped.reason}")
    callback.on_skipped(skipped)
