"""Extraction of feature tables from images, through one backbone and one store."""

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
    """Extracts the features that a run needs, or reads them from the store.

    Args:
        extractor: the backbone at its image size.
        store: the store of feature rows.
        strict: True to raise on an unreadable image instead of skipping it.
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
        """Features of the readable images.

        Args:
            stage: name of the stage for progress.
            images: the images with their labels.
            items: the items of the same images.

        Returns:
            the table of the readable images, these images, and their items.

        Raises:
            ImageError: if an image cannot be read and `strict` is set.
        """
        with self._callback.part("images"):
            table, kept, skipped = self._table(stage, items)
        for one in skipped:
            report_skipped(one, self._strict, self._callback)
        return table, chosen(images, kept), chosen(items, kept)

    def pseudo(self, items: Sequence[ImageItem]) -> FeatureTable | None:
        """Features of pseudo anomalies; None if there are none.

        If an image has become unreadable, another pseudo anomaly takes the place of those made
        from it, with a note.

        Raises:
            DataError: if none can be made.
            ImageError: if one cannot be made and `strict` is set.
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
            f"{counted(len(skipped), 'pseudo anomaly', 'were')} not made, because their images "
            f"can no longer be read ({why}): others replace them."
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
    """Open an extraction with its store for the block.

    Args:
        backbone: the backbone.
        config: image size and batch size.
        device: device of the backbone.
        cache: folder of the stores; `"auto"` for the user's cache folder, if it is writable; None
            for a temporary one.
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
    """Select the values at these indices."""
    return [values[i] for i in indices]
