"""Pseudo anomalies that the episodes need, made on demand."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ahl._common.randomness import derive_seed
from ahl._common.types import ImageItem, Pixels
from ahl.distributions.augment.base import PseudoAnomalyGenerator, tampered
from ahl.distributions.episodes import Episode


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class PseudoAnomaly:
    """A planned pseudo anomaly: indices of its generator and its training normal."""

    generator: int
    normal: int


def plan_pseudo_anomalies(episodes: Sequence[Episode]) -> list[PseudoAnomaly]:
    """Every pseudo anomaly that some support or query set uses, once, sorted."""
    return sorted(
        {
            PseudoAnomaly(generator=samples.generator, normal=int(normal))
            for episode in episodes
            for samples in (episode.support, episode.query)
            for normal in samples.twins
        }
    )


def normals_of(plan: Sequence[PseudoAnomaly]) -> NDArray[np.int64]:
    """Index of the normal that each planned pseudo anomaly is made from, (N,)."""
    return np.array([entry.normal for entry in plan], dtype=np.int64)


def pseudo_items(
    plan: Sequence[PseudoAnomaly],
    normals: Sequence[ImageItem],
    generators: Sequence[PseudoAnomalyGenerator],
    *,
    seed: int,
    tiles: int = 0,
) -> list[ImageItem]:
    """Make the image items of planned pseudo anomalies.

    Their pixels depend on the run's seed, the generator and the image's content. The source of a
    patch is the normal whose content hash follows a random one, so that adding a normal changes few
    pseudo anomalies, and the others stay cached.

    Args:
        plan: the pseudo anomalies to make.
        normals: the training normals.
        generators: the generators that make them.
        seed: seed of the run.
        tiles: side in pixels of the tiles in which images are seen, one of which is changed; 0
            changes whole images.
    """
    ring = sorted((_digest(normal.key), index) for index, normal in enumerate(normals))
    items = []
    for entry in plan:
        generator, normal = generators[entry.generator], normals[entry.normal]
        settings = json.dumps(generator.settings(), sort_keys=True)
        own_seed = derive_seed(seed, "pseudo", settings, normal.key)
        place = bisect(ring, (_digest(str(own_seed)), 0))
        source = normals[ring[place % len(ring)][1]]
        if source.key == normal.key:
            source = normals[ring[(place + 1) % len(ring)][1]]
        items.append(_item(normal, source, generator, settings, own_seed, tiles))
    return items


def _item(
    normal: ImageItem,
    source: ImageItem,
    generator: PseudoAnomalyGenerator,
    settings: str,
    own_seed: int,
    tiles: int,
) -> ImageItem:
    def load() -> Pixels:
        random = np.random.default_rng(own_seed)
        return tampered(generator, normal.load(), source.load(), random, tiles=tiles)

    made_of = ["pseudo", settings, normal.key, source.key, str(own_seed)]
    made_of += [f"tiles {tiles}"] if tiles else []
    return ImageItem(
        name=f"{generator.name} of {normal.name}",
        key=_digest("\n".join(made_of)),
        load=load,
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
