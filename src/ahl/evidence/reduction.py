"""Fewer channels: principal components of the feature vectors of all positions (Pearson, 1901).

Backbones give hundreds of channels that largely repeat each other. Everything behind them, learning
as well as the distances to remembered patches, costs in proportion to their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ahl._common.randomness import numpy_generator
from ahl._common.tensor_file import tensor_of
from ahl.features.table import FeatureTable

MOST_IMAGES = 1000
"""Of one table, drawn at random, that the components are computed from."""

SMALLEST_VARIANCE = 1e-6
"""As a share of the first component's; smaller ones are of rounding, and left out."""

CHUNK = 64
"""Images read together; bounds memory."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Reduction:
    """Feature vectors x (C,) become x P (K,): principal component analysis without its centring.

    Attributes:
        components: P, (C, K), orthonormal columns, rounded to half precision: what a model file
            keeps.
    """

    components: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """The components, in half precision without loss."""
        return {"components": self.components.half()}

    @classmethod
    def read(cls, tensors: dict[str, Tensor], *, width: int) -> Reduction:
        """The inverse of `tensors`, where K is `width`.

        Raises:
            ValueError: if they are not of this kind.
        """
        components = tensor_of(tensors, "components", torch.float16, None, width)
        if not len(components):
            raise ValueError("the reduction is of no channels")
        return cls(components=components.float())


def reduced(reduction: Reduction | None, table: FeatureTable) -> FeatureTable:
    """The table behind a reduction; the same one if there is none."""
    return table if reduction is None else table.projected(reduction.components)


def fit_reduction(
    tables: Sequence[FeatureTable], components: int, *, seed: int
) -> Reduction | None:
    """The directions in which the feature vectors of all positions and scales vary most.

    Args:
        tables: of images, all of one layout; each gives `MOST_IMAGES` at most.
        components: how many directions at most, at least 1.
        seed: of the choice of images.

    Returns:
        the reduction; None if there are no more channels than that.
    """
    channels = tables[0].layout.channels
    if channels <= components:
        return None
    random = numpy_generator(seed, "reduction")
    count = 0
    total = torch.zeros(channels, dtype=torch.float64)
    products = torch.zeros(channels, channels, dtype=torch.float64)
    for table in tables:
        chosen = np.sort(random.permutation(len(table))[:MOST_IMAGES])
        for _, rows in table.chosen(chosen).chunks(CHUNK):
            for scale in table.layout.split(rows):
                vectors = scale.movedim(-3, -1).reshape(-1, channels)
                count += len(vectors)
                total += vectors.sum(dim=0, dtype=torch.float64)
                products += vectors.T @ vectors
    mean = total / count
    variances, directions = torch.linalg.eigh(products / count - torch.outer(mean, mean))
    # In ascending order; at least one is kept, also of images that are all alike.
    telling = int((variances > SMALLEST_VARIANCE * variances[-1].clamp_min(0)).sum())
    kept = directions.flip(1)[:, : max(1, min(components, telling))]
    # A direction has no sign of its own; which one comes out depends on the library.
    largest = kept.abs().argmax(dim=0, keepdim=True)
    signed = kept * kept.gather(0, largest).sign()
    # Contiguous as when read from a file: another order in memory is another order of sums.
    return Reduction(components=signed.half().float().contiguous())
