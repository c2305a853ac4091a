"""Pixel figures of heat maps, beside those of a map of nearest-neighbour distances.

    python benchmarks/localisation.py DATA
    python benchmarks/localisation.py DATA --stages 2 3     # cells of half the size

DATA is in MVTec AD's layout with masks in ground_truth/CLASS/NAME_mask.png. Trains by the protocol
(general setting, M anomalies) for each seed and prints the figures of `ahl.scoring.localisation`
over the test images: pixel AUROC, AUPRO, and the share of the masked images whose highest pixel
lies on the defect.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from ahl import AHL
from ahl._common.callbacks import Callback
from ahl._common.types import Sample
from ahl.benchmark.baselines.patchcore import build_coreset
from ahl.config import DEFAULT_BACKBONE, preset
from ahl.config.image_size import read_size
from ahl.data import draw_split, open_dataset
from ahl.data.images.sources import from_samples, readable_items
from ahl.data.masks import mask_of, resized_mask
from ahl.evidence.coreset import patches_of
from ahl.features.backbones.choice import BackboneChoice
from ahl.features.table import FeatureTable
from ahl.pipeline.extraction import open_extraction
from ahl.scoring.localisation import NEAR, PixelCounts


def show(what: str, samples: Sequence[Sample], maps: Iterable[NDArray[np.float32]]) -> None:
    """Print the figures of some heat maps; anomalies without a mask do not count."""
    counts = PixelCounts()
    for sample, heat in zip(samples, maps, strict=True):
        mask = mask_of(sample)
        if mask is not None:
            counts.add(heat, resized_mask(mask, heat.shape))
        elif not sample.is_anomaly:
            counts.add(heat, None)
    found = counts.figures()
    assert found is not None
    assert found.auroc is not None
    assert found.aupro is not None
    print(
        f"{what:24s} pixel AUROC {found.auroc:.3f}  AUPRO {found.aupro:.3f}  peak within "
        f"{NEAR} px {found.peak_near:.3f} of {found.masked}",
        flush=True,
    )


def nearest_maps(
    table: FeatureTable, memory: torch.Tensor, size: tuple[int, int]
) -> Iterator[NDArray[np.float32]]:
    """Yield maps of each patch's distance to its nearest in a memory, resized to `size`."""
    for _, rows in table.chunks(16):
        scale = table.layout.split(rows)[0]
        found = torch.cdist(patches_of(scale).flatten(0, 1), memory).min(dim=1).values
        found = found.view(len(scale), 1, *scale.shape[-2:])
        yield from functional.interpolate(found, size, mode="bilinear")[:, 0].numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--image-size", default="auto")
    parser.add_argument("--stages", type=int, nargs="+")
    parser.add_argument("--anomalies", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    dataset = open_dataset(options.data)
    choice = BackboneChoice(
        backbone=DEFAULT_BACKBONE,
        stages=None if options.stages is None else tuple(options.stages),
    )
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        split = draw_split(dataset, anomalies=options.anomalies, seed=seed)
        backbone = choice.build()
        given = preset("default", image_size=read_size(options.image_size))
        detector = AHL(backbone=backbone, config=given, seed=seed).fit_split(split)
        config, test = detector.model_.config, list(split.test)
        sources = [sample.source for sample in test]
        ours = (one.heat_map for one in detector.explain(sources, heat_maps=True))
        show(f"seed {seed}  AHL", test, ours)
        normals, tested = (
            readable_items(
                from_samples(some), config.features, decode=False, strict=True, callback=Callback()
            )
            for some in (split.normals, test)
        )
        with open_extraction(
            backbone,
            config.features,
            torch.device("cpu"),
            cache="auto",
            strict=True,
            callback=Callback(),
        ) as extraction:
            memory = build_coreset(extraction.labelled("normals", *normals)[0], seed=seed)
            table, _, _ = extraction.labelled("test", *tested)
        show(
            f"seed {seed}  nearest neighbour",
            test,
            nearest_maps(table, memory, config.features.size),
        )


if __name__ == "__main__":
    main()
