"""Extraction of feature rows from images, at two scales, in batches and with a cache."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ahl._common.callbacks import Callback
from ahl._common.types import ImageItem, Skipped
from ahl.config import FeatureConfig
from ahl.data.images.numbers import FULL_DEPTH
from ahl.data.images.sources import decoded_batches
from ahl.features.backbones.base import Backbone
from ahl.features.maps import HALF_MAXIMUM, FeatureLayout
from ahl.features.store import FeatureStore
from ahl.features.table import FeatureTable
from ahl.features.tiles import TOGETHER, tiled_map

FEATURE_VERSION = 4
"""Version number, raised if the same image, backbone and size give other rows."""


def as_tensor(pixels: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Convert uint8 (N, H, W, 3) to float32 (N, 3, H, W) in 0..1."""
    return torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float() / 255.0


def two_scales(backbone: Backbone, images: Tensor, tiles: int = 0) -> tuple[Tensor, Tensor]:
    """Feature maps of images (N, 3, H, W) in 0..1, at full and at half size.

    Both are seen in tiles whose sides are `tiles` pixels, or whole if that is 0.
    """
    half = functional.avg_pool2d(images, 2)
    if tiles:
        return tiled_map(backbone, images, tiles), tiled_map(backbone, half, tiles)
    return backbone(images), backbone(half)


def bounded_scales(backbone: Backbone, images: Tensor, tiles: int = 0) -> tuple[Tensor, Tensor]:
    """Maps of `two_scales`, clipped to `HALF_MAXIMUM`, as they are stored and scored."""
    full, half = two_scales(backbone, images, tiles)
    return full.clamp(-HALF_MAXIMUM, HALF_MAXIMUM), half.clamp(-HALF_MAXIMUM, HALF_MAXIMUM)


def enlarged_scale(backbone: Backbone, images: Tensor) -> Tensor:
    """Feature map of images (N, 3, H, W) in 0..1 at twice their height and width, bounded alike."""
    twice = functional.interpolate(images, scale_factor=2.0, mode="bilinear")
    found: Tensor = backbone(twice)
    return found.clamp(-HALF_MAXIMUM, HALF_MAXIMUM)


class FeatureExtractor:
    """Runs a backbone, in evaluation mode, on images at full and half size."""

    def __init__(self, backbone: Backbone, config: FeatureConfig, device: torch.device) -> None:
        backbone = backbone.eval().to(device)
        self.backbone: Backbone = backbone.for_inference() if device.type == "cpu" else backbone
        self.config = config
        self.device = device
        height, width = config.size
        with torch.inference_mode():
            probe = two_scales(
                self.backbone, torch.zeros(1, 3, height, width, device=device), config.tiles
            )
        self.layout: FeatureLayout = FeatureLayout.of(probe)
        self.identity: dict[str, Any] = {
            "version": FEATURE_VERSION,
            "backbone": backbone.describe().fingerprint,
            "image_size": [height, width],
            "tiles": config.tiles,
            "device": device.type,
            **({} if config.bit_depth == FULL_DEPTH else {"bit_depth": config.bit_depth}),
        }

    def extract(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Feature rows of a batch: uint8 (N, H, W, 3) to float32 (N, row_size).

        Rows are rounded to half precision for storage and training, but not for scoring: rounding
        would turn last-bit differences between processors and runtimes into a thousandth of the
        value, and change scores by more than 1e-4 standard deviations.
        """
        together = TOGETHER if self.device.type == "cpu" else len(pixels)
        parts = []
        with torch.inference_mode():
            for start in range(0, len(pixels), together):
                images = as_tensor(pixels[start : start + together], self.device)
                rows = self.layout.join(bounded_scales(self.backbone, images, self.config.tiles))
                parts.append(rows.nan_to_num(0.0).cpu().numpy())
        return np.concatenate(parts)

    def enlarged(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Feature maps of a batch at twice its size: uint8 (N, H, W, 3) to (N, C, h, w)."""
        with torch.inference_mode():
            images = torch.split(as_tensor(pixels, self.device), 1)
            maps = [enlarged_scale(self.backbone, image) for image in images]
            return torch.cat(maps).nan_to_num(0.0).cpu()

    def stream(
        self, items: Iterable[ImageItem], *, callback: Callback | None = None
    ) -> Iterator[tuple[list[int], NDArray[np.float32], list[tuple[int, Skipped]]]]:
        """Decode in parallel and extract in batches, in order, with few batches in memory.

        Yields:
            the indices extracted, their rows (n, row_size), and the items skipped since the
            last yield.
        """
        callback = callback or Callback()
        size = self.config.batch_size
        for batch in decoded_batches(items, size, callback=callback):
            rows = np.empty((0, self.layout.row_size), dtype=np.float32)
            with callback.part("backbone"):
                if batch.pixels is not None:
                    rows = self.extract(batch.pixels)
            yield batch.indices, rows, batch.skipped


def extract_table(
    extractor: FeatureExtractor,
    items: Sequence[ImageItem],
    store: FeatureStore,
    *,
    stage: str = "features",
    callback: Callback | None = None,
) -> tuple[FeatureTable, list[int], list[tuple[int, Skipped]]]:
    """Feature rows of all items, from the store or by extraction.

    Extracted rows are stored at once, so that an interrupted extraction resumes where it stopped.

    Returns:
        the table of the readable items in order, their indices, and the skipped items.
    """
    store.verify(item.key for item in items)
    needed: dict[str, int] = {}
    for index, item in enumerate(items):
        if item.key not in store and item.key not in needed:
            needed[item.key] = index
    wanted = [items[i] for i in needed.values()]
    callback = callback or Callback()
    callback.on_stage(stage, 0, len(wanted))
    reasons: dict[str, str] = {}
    done = 0
    with store.writer() as writer:
        for batch, rows, skipped in extractor.stream(wanted, callback=callback):
            with callback.part("feature store"):
                halves = torch.from_numpy(rows).half().numpy()
                writer.add([wanted[i].key for i in batch], halves)
            reasons.update({wanted[i].key: one.reason for i, one in skipped})
            done += len(batch) + len(skipped)
            callback.on_stage(stage, done, len(wanted))
    kept = [i for i, item in enumerate(items) if item.key not in reasons]
    skipped_items = [
        (i, Skipped(name=item.name, reason=reasons[item.key]))
        for i, item in enumerate(items)
        if item.key in reasons
    ]
    return store.table([items[i].key for i in kept]), kept, skipped_items
