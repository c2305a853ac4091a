"""Balanced batches of images for fine-tuning a backbone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ahl._common.randomness import numpy_generator
from ahl._common.types import ImageItem, Kind, Pixels
from ahl.config import Config
from ahl.data.images.sources import first_readable
from ahl.distributions.augment.base import PseudoAnomalyGenerator, tampered
from ahl.distributions.training_set import balanced_counts


@dataclass(frozen=True, kw_only=True)
class FinetuningImages:
    """The images that a backbone is fine-tuned on.

    Attributes:
        normals: training normals.
        anomalies: labelled anomalies.
        generators: pseudo-anomaly generators, one drawn for each pseudo anomaly; empty for none.
    """

    normals: Sequence[ImageItem]
    anomalies: Sequence[ImageItem]
    generators: Sequence[PseudoAnomalyGenerator]


def draw_images(
    images: FinetuningImages, config: Config, seed: int
) -> tuple[list[Callable[[], Pixels]], Tensor]:
    """Draw a balanced batch without decoding it.

    Returns:
        functions that load the reference normals, then the batch, and the kinds (batch_size,).
    """
    random = numpy_generator(seed, "draw")
    size = config.finetune.batch_size
    counts = balanced_counts(size, (True, True, bool(images.generators)))

    def pick(items: Sequence[ImageItem]) -> Callable[[], Pixels]:
        first = int(random.integers(len(items)))
        return lambda: first_readable([*items[first:], *items[:first]])

    def twin() -> Callable[[], Pixels]:
        image, source = pick(images.normals), pick(images.normals)
        generator = images.generators[int(random.integers(len(images.generators)))]
        own_seed = int(random.integers(2**63))
        return lambda: tampered(
            generator,
            image(),
            source(),
            np.random.default_rng(own_seed),
            tiles=config.features.tiles,
        )

    loaders = [pick(images.normals) for _ in range(config.heads.reference_normals)]
    loaders += [pick(images.normals) for _ in range(counts[Kind.NORMAL])]
    loaders += [pick(images.anomalies) for _ in range(counts[Kind.ANOMALY])]
    loaders += [twin() for _ in range(counts[Kind.PSEUDO])]
    kinds = torch.cat([torch.full((count,), int(kind)) for kind, count in enumerate(counts)])
    return loaders, kinds
