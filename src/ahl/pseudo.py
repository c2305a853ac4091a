"""Which pseudo anomalies the episodes need, and how each is made when it is needed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ahl.augment.base import PseudoAnomalyGenerator
from ahl.distributions import Episode
from ahl.features import ImageItem
from ahl.randomness import derive_seed
from ahl.types import Pixels


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class PseudoAnomaly:
    """One pseudo anomaly to be made: indices into the generators and the training normals."""

    generator: int
    normal: int


def plan_pseudo_anomalies(episodes: Sequence[Episode]) -> list[PseudoAnomaly]:
    """Every (generator, normal) pair that some support or query set uses, once, sorted."""
    return sorted(
        {
            PseudoAnomaly(generator=samples.generator, normal=int(normal))
            for episode in episodes
            for samples in (episode.support, episode.query)
            for normal in samples.twins
        }
    )


def pseudo_items(
    plan: Sequence[PseudoAnomaly],
    normals: Sequence[ImageItem],
    generators: Sequence[PseudoAnomalyGenerator],
    *,
    seed: int,
) -> list[ImageItem]:
    """Describe the planned pseudo anomalies as images to extract.

    The random numbers of one depend on the run's seed, the generator and the image's content,
    not on how many others there are.
    """
    return [_item(entry, normals, generators[entry.generator], seed) for entry in plan]


def _item(
    entry: PseudoAnomaly,
    normals: Sequence[ImageItem],
    generator: PseudoAnomalyGenerator,
    seed: int,
) -> ImageItem:
    normal = normals[entry.normal]
    settings = json.dumps(generator.settings(), sort_keys=True)
    own_seed = derive_seed(seed, "pseudo", settings, normal.key)
    step = np.random.default_rng(derive_seed(own_seed, "source")).integers(1, max(2, len(normals)))
    source = normals[(entry.normal + int(step)) % len(normals)]
    key = hashlib.sha256(
        "\n".join(["pseudo", settings, normal.key, source.key, str(own_seed)]).encode()
    ).hexdigest()

    def load() -> Pixels:
        return generator(normal.load(), source.load(), np.random.default_rng(own_seed))

    return ImageItem(name=f"{generator.name} of {normal.name}", key=key, load=load)
