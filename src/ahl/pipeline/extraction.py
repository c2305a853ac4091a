"""Images to feature tables, through one backbone and one store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import torch

from ahl._common.callbacks import Callback
from ahl._common.errors import DataError
from ahl._common.processes import Processes
from ahl._common.types import ImageItem, Skipped
from ahl.config import FeatureConfig
from ahl.data.images.sources import LabelledImage, report_skipped
from ahl.distributions.augment.base import PseudoAnomalyGenerator
from ahl.distributions.pseudo import PseudoAnomaly, pseudo_items
from ahl.features.backbones import Backbone
from ahl.features.extractor import FeatureExtractor, extract_table
from ahl.features.store import FeatureStore, default_store_root, temporary_store_root
from ahl.features.table import FeatureTable

Value = TypeVar("Value")


class Extraction:
    """Extracts, or finds in the store, the features that a run needs.

    Args:
        extractor: the backbone at its image size.
        store: where rows are kept.
        strict: raise on an unreadable image instead of leaving it out.
        callback: receives progress and of what is left out.
        processes: that share the work: each extracts a part, and all have all of it.
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        store: FeatureStore,
        *,
        strict: bool,
        callback: Callback,
        processes: Processes,
    ) -> None:
        self.identity = extractor.identity
        self._extractor, self._store = extractor, store
        self._strict, self._callback = strict, callback
        self._processes = processes

    def table(
        self, stage: str, items: Sequence[ImageItem]
    ) -> tuple[FeatureTable, list[int], list[Skipped]]:
        """Features of the images that can be read.

        Args:
            stage: what the progress is called.
            items: the images.

        Returns:
            their table, their indices among the items, and what was left out.

        Raises:
            ImageError: if strict and one cannot be read.
        """
        table, kept, skipped = extract_table(
            self._extractor,
            items,
            self._store,
            stage=stage,
            callback=self._callback,
            processes=self._processes,
        )
        for _, one in skipped:
            report_skipped(one, self._strict, self._callback)
        return table, kept, [one for _, one in skipped]

    def labelled(
        self, stage: str, images: Sequence[LabelledImage], items: Sequence[ImageItem]
    ) -> tuple[FeatureTable, list[LabelledImage], list[ImageItem]]:
        """As `table`, with the images and items that can be read.

        Args:
            stage: what the progress is called.
            images: with their labels.
            items: the same, to be decoded.
        """
        with self._callback.part("images"):
            table, kept, _ = self.table(stage, items)
        return table, chosen(images, kept), chosen(items, kept)

    def pseudo_items(
        self,
        plan: Sequence[PseudoAnomaly],
        normals: Sequence[ImageItem],
        generators: Sequence[PseudoAnomalyGenerator],
        *,
        seed: int,
    ) -> list[ImageItem]:
        """The planned pseudo anomalies as images, as small as the tiles ask for."""
        tiles = self._extractor.config.tiles
        return pseudo_items(plan, normals, generators, seed=seed, tiles=tiles)

    def pseudo(
        self,
        plan: Sequence[PseudoAnomaly],
        normals: Sequence[ImageItem],
        generators: Sequence[PseudoAnomalyGenerator],
        *,
        seed: int,
    ) -> FeatureTable:
        """Features of the planned pseudo anomalies, in the plan's order.

        Raises:
            DataError: if a normal image can no longer be read.
        """
        with self._callback.part("pseudo anomalies"):
            items = self.pseudo_items(plan, normals, generators, seed=seed)
            table, made, _ = self.table("features of pseudo anomalies", items)
        if len(made) != len(items):
            raise DataError("Normal images became unreadable while training; run again.")
        return table


@contextmanager
def open_extraction(
    backbone: Backbone,
    config: FeatureConfig,
    device: torch.device,
    *,
    cache: str | Path | None,
    strict: bool,
    callback: Callback,
    processes: Processes | None = None,
) -> Iterator[Extraction]:
    """An extraction over a store.

    Args:
        backbone: what makes the features.
        config: image size and batch size.
        device: where the backbone runs.
        cache: the stores' folder; `"auto"` is the user's, None one that goes with the block.
        strict: as for `Extraction`.
        callback: as for `Extraction`.
        processes: as for `Extraction`; None is this one alone.

    Raises:
        ConfigurationError: if the processes do not share the folder, or have other backbones.
    """
    processes = processes or Processes()
    extractor = FeatureExtractor(backbone, config, device)
    processes.agree(extractor.identity, "weights of the backbone, or settings of it,")
    with ExitStack() as stack:
        if cache is None:
            own = stack.enter_context(temporary_store_root()) if processes.is_first else None
            root = Path(processes.told(str(own)))
        else:
            root = default_store_root() if cache == "auto" else Path(cache)
        store = FeatureStore(root, extractor.identity, extractor.layout)
        processes.require_shared(store.folder)
        yield Extraction(extractor, store, strict=strict, callback=callback, processes=processes)


def chosen(values: Sequence[Value], indices: Sequence[int]) -> list[Value]:
    """The values at the given indices."""
    return [values[i] for i in indices]
