"""Images to feature tables, through one backbone and one store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from ahl._common.callbacks import Callback
from ahl._common.errors import DataError, ImageError
from ahl._common.text import counted
from ahl._common.types import ImageItem, Skipped
from ahl.config import FeatureConfig
from ahl.data.images.sources import LabelledImage, report_skipped
from ahl.features.backbones import Backbone
from ahl.features.extractor import FeatureExtractor, extract_table
from ahl.features.store import (
    FeatureStore,
    store_root,
    temporary_store_root,
)
from ahl.features.table import FeatureTable

Value = TypeVar("Value")


class Extraction:
    """Extracts, or finds in the store, the features that a run needs.

    Args:
        extractor: the backbone at its image size.
        store: where rows are kept.
        strict: raise on an unreadable image instead of skipping it.
        callback: receives progress and skipped images.
    """

    def __init__(
        self, extractor: FeatureExtractor, store: FeatureStore, *, strict: bool, callback: Callback
    ) -> None:
        self.identity = extractor.identity
        self._extractor, self._store = extractor, store
        self._strict, self._callback = strict, callback

    def labelled(
        self, stage: str, images: Sequence[LabelledImage], items: Sequence[ImageItem]
    ) -> tuple[FeatureTable, list[LabelledImage], list[ImageItem]]:
        """Features of the images that can be read.

        Args:
            stage: name of the progress.
            images: with their labels.
            items: the same, to be decoded.

        Returns:
            their table, and the images and items that could be read.

        Raises:
            ImageError: if strict and one cannot be read.
        """
        with self._callback.part("images"):
            table, kept, skipped = self._table(stage, items)
        for one in skipped:
            report_skipped(one, self._strict, self._callback)
        return table, chosen(images, kept), chosen(items, kept)

    def pseudo(self, items: Sequence[ImageItem]) -> FeatureTable | None:
        """Features of pseudo anomalies; None if there are none.

        Another one stands where an image that one is made of can no longer be read; that is noted.

        Raises:
            DataError: if none can be made.
            ImageError: if strict and one cannot be made.
        """
        if not items:
            return None
        with self._callback.part("pseudo anomalies"):
            table, made, skipped = self._table("features of pseudo anomalies", items)
        if not skipped:
            return table
        why = f"{skipped[0].name}: {skipped[0].reason}"
        if self._strict:
            raise ImageError(why)
        if not made:
            raise DataError(f"No pseudo anomaly can be made any more ({why}); run again.")
        self._callback.on_note(
            f"{counted(len(skipped), 'pseudo anomaly', 'were')} not made, of images that can no "
            f"longer be read ({why}): others stand in for them."
        )
        nearest = np.abs(np.subtract.outer(np.arange(len(items)), made)).argmin(axis=1)
        return table.chosen(nearest)

    def _table(
        self, stage: str, items: Sequence[ImageItem]
    ) -> tuple[FeatureTable, list[int], list[Skipped]]:
        table, kept, skipped = extract_table(
            self._extractor, items, self._store, stage=stage, callback=self._callback
        )
        return table, kept, [one for _, one in skipped]


@contextmanager
def open_extraction(
    backbone: Backbone,
    config: FeatureConfig,
    device: torch.device,
    *,
    cache: str | Path | None,
    strict: bool,
    callback: Callback,
) -> Iterator[Extraction]:
    """An extraction over a store.

    Args:
        backbone: what makes the features.
        config: image size and batch size.
        device: where the backbone runs.
        cache: the stores' folder; `"auto"` is the user's, if it can be written to; None one that
            goes with the block.
        strict: as for `Extraction`.
        callback: as for `Extraction`.
    """
    extractor = FeatureExtractor(backbone, config, device)
    with ExitStack() as stack:
        root = store_root(cache, callback)
        if root is None:
            root = stack.enter_context(temporary_store_root())
        store = FeatureStore(root, extractor.identity, extractor.layout)
        yield Extraction(extractor, store, strict=strict, callback=callback)


def chosen(values: Sequence[Value], indices: Sequence[int]) -> list[Value]:
    """The values at the given indices."""
    return [values[i] for i in indices]
