"""How well heat maps find the defects' pixels, beside a map of nearest-neighbour distances.

    python benchmarks/localisation.py DATA --weights mobilenetv2_100.safetensors

DATA is in MVTec AD's layout with masks in ground_truth/CLASS/NAME_mask.png. Trains by the protocol
(general setting, M anomalies) for each seed and prints, of the test images, the AUROC over all
pixels and the AUPRO: the mean share of a defect (a connected region) that is found, averaged over
the false-positive rates from 0 to 0.3 (Bergmann et al., 2021).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import label
from sklearn.metrics import roc_auc_score
from torch.nn import functional

from ahl import AHL
from ahl._common.callbacks import Callback
from ahl._common.types import ImageSize, Sample
from ahl.benchmark.baselines.patchcore import build_coreset
from ahl.config import preset
from ahl.data import draw_split, open_dataset
from ahl.data.images.reading import image_shape
from ahl.data.images.sources import from_samples, readable_items
from ahl.data.masks import read_masks
from ahl.evidence.coreset import patches_of
from ahl.features.backbones.choice import BackboneChoice
from ahl.pipeline.extraction import open_extraction

HIGHEST_RATE = 0.3
RATES = np.linspace(0.0, HIGHEST_RATE, 301)

Maps = NDArray[np.float32]
"""(N, S, S)."""


def mask_of(sample: Sample, size: ImageSize) -> NDArray[np.bool_]:
    """The defect's pixels, at the size of the maps; none for a normal image."""
    if not sample.is_anomaly:
        return np.zeros(size, dtype=np.bool_)
    height, width = image_shape(sample.source)
    mask = Image.fromarray(read_masks(sample.masks, width, height).astype(np.uint8) * 255)
    # A thin crack must not fall between the pixels of a smaller mask.
    return np.asarray(mask.resize(size[::-1], Image.Resampling.BOX)) > 0


def aupro(maps: Maps, masks: NDArray[np.bool_]) -> float:
    """Area under the per-region overlap, over false-positive rates up to 0.3, divided by 0.3."""
    thresholds = np.quantile(maps[~masks], 1 - RATES)
    overlaps = []
    for heat, mask in zip(maps, masks, strict=True):
        regions, count = label(mask, structure=np.ones((3, 3)))
        for number in range(1, count + 1):
            inside = np.sort(heat[regions == number])
            overlaps.append(1 - np.searchsorted(inside, thresholds) / len(inside))
    return float(np.trapezoid(np.mean(overlaps, axis=0), RATES) / HIGHEST_RATE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", type=Path, required=True, help="of a MobileNetV2 by timm")
    parser.add_argument("--anomalies", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    dataset, config = open_dataset(options.data), preset("default", image_size=224)
    choice = BackboneChoice(
        backbone="mobilenetv2_100", weights=options.weights, arguments={"pad_type": "same"}
    )
    size = config.features.size
    for seed in range(options.seeds):
        split = draw_split(dataset, anomalies=options.anomalies, seed=seed)
        backbone = choice.build()
        detector = AHL(backbone=backbone, config=config, seed=seed).fit_split(split)
        test = list(split.test)
        ours = np.stack(
            [p.heat_map for p in detector.predict([s.source for s in test], heat_maps=True)]
        )
        masks = np.stack([mask_of(sample, size) for sample in test])
        _, normal_items = readable_items(
            from_samples(split.normals),
            config.features,
            decode=False,
            strict=True,
            callback=Callback(),
        )
        _, test_items = readable_items(
            from_samples(test), config.features, decode=False, strict=True, callback=Callback()
        )
        with open_extraction(
            backbone,
            config.features,
            torch.device("cpu"),
            cache="auto",
            strict=True,
            callback=Callback(),
        ) as extraction:
            memory = build_coreset(extraction.table("normals", normal_items)[0], seed=seed)
            table, _, _ = extraction.table("test", test_items)
        nearest = []
        for _, rows in table.chunks(16):
            scale = table.layout.split(rows)[0]
            found = torch.cdist(patches_of(scale).flatten(0, 1), memory).min(dim=1).values
            found = found.view(len(scale), 1, *scale.shape[-2:])
            nearest.append(functional.interpolate(found, size, mode="bilinear")[:, 0])
        for name, maps in (("AHL", ours), ("nearest neighbour", torch.cat(nearest).numpy())):
            pixel = roc_auc_score(masks.ravel(), maps.ravel())
            print(
                f"seed {seed}  {name:18s} pixel AUROC {pixel:.3f}  AUPRO {aupro(maps, masks):.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
