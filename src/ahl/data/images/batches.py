"""Decoding ahead of whoever needs the pixels, in order, a few batches at most."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ahl._common.callbacks import Callback
from ahl._common.errors import ImageError
from ahl._common.types import ImageItem, Pixels, Skipped


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Images decoded together, and those since the last batch that could not be.

    Attributes:
        indices: of the decoded ones among all.
        pixels: (n, H, W, 3) uint8 of these; None if there are none.
        skipped: the others, with their indices.
    """

    indices: list[int]
    pixels: NDArray[np.uint8] | None
    skipped: list[tuple[int, Skipped]]


def decoded_batches(
    items: Sequence[ImageItem], size: int, *, workers: int = 2, callback: Callback | None = None
) -> Iterator[Batch]:
    """Decode in parallel, in order, holding only a few batches.

    Args:
        items: the images; all load with one shape.
        size: images a batch.
        workers: threads that decode.
        callback: hears how long decoding was waited for.

    Yields:
        batches; every item is in one of them.
    """
    callback = callback or Callback()
    with ThreadPoolExecutor(max_workers=workers) as pool:
        ahead: deque[tuple[int, Future[Pixels]]] = deque()
        upcoming = iter(enumerate(items))

        def top_up() -> None:
            while len(ahead) < 2 * size + workers:
                following = next(upcoming, None)
                if following is None:
                    return
                ahead.append((following[0], pool.submit(following[1].load)))

        top_up()
        indices: list[int] = []
        images: list[Pixels] = []
        skipped: list[tuple[int, Skipped]] = []
        try:
            while ahead:
                index, future = ahead.popleft()
                try:
                    with callback.part("decoding"):
                        images.append(future.result())
                    indices.append(index)
                except ImageError as error:
                    skipped.append((index, Skipped(name=items[index].name, reason=str(error))))
                top_up()
                if len(images) == size or (not ahead and (images or skipped)):
                    pixels = np.stack(images) if images else None
                    yield Batch(indices=indices, pixels=pixels, skipped=skipped)
                    indices, images, skipped = [], [], []
        finally:
            for _, future in ahead:
                future.cancel()
