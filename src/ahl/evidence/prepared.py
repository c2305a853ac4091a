"""Preparation of feature rows for the heads: fewer channels, one factor, the memory's evidence.

Backbones give hundreds of largely redundant channels, to whose number the cost of learning and of
distances is proportional. They are reduced to principal components of the feature vectors of all
positions (Pearson, 1901).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ahl._common.randomness import numpy_generator
from ahl._common.tensor_file import Groups, tensor_of
from ahl.config import Config, MemoryConfig
from ahl.evidence.memory import Memory, MemoryConstants, build_memory
from ahl.features.maps import FeatureLayout, FeatureMaps, project_maps
from ahl.features.table import FeatureTable

MOST_IMAGES = 1000
"""Largest number of images of one table, drawn at random, to compute the components from."""

SMALLEST_VARIANCE = 1e-6
"""Smallest variance of a component as a share of the first one's; others are rounding errors."""

_CHUNK = 64  # images read together; bounds memory


@dataclass(frozen=True, kw_only=True, eq=False)
class Reduction:
    """Projection of feature vectors x (C,) onto principal components, x P (K,), without centring.

    Attributes:
        components: P, (C, K), orthonormal columns, rounded to the half precision of the model file.
    """

    components: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """The components, in half precision, without loss."""
        return {"components": self.components.half()}

    @classmethod
    def read(cls, tensors: dict[str, Tensor], *, width: int) -> Reduction:
        """Rebuild from `tensors`, where K is `width`.

        Raises:
            ValueError: if the components are missing or have another form.
        """
        components = tensor_of(tensors, "components", torch.float16, None, width)
        if not len(components):
            raise ValueError("the reduction keeps no channels")
        return cls(components=components.float())


@dataclass(frozen=True, kw_only=True, eq=False)
class Preparation:
    """The steps that turn an image's features into the heads' input.

    Attributes:
        features: shape of the maps in a feature row.
        reduction: reduction of the channels, the first step; None keeps all channels.
        factor: positive factor on the reduced features.
        memory: memory of the training normals, whose evidence, without the factor, is the last
            channel; None for none.
    """

    features: FeatureLayout
    reduction: Reduction | None
    factor: float
    memory: Memory | None

    @property
    def heads(self) -> FeatureLayout:
        """Shape of the heads' input maps."""
        kept = None if self.reduction is None else self.reduction.components.shape[1]
        return self.features.of_channels(kept or self.features.channels).with_channels(
            self.appended
        )

    @property
    def appended(self) -> int:
        """Number of last channels that are not features."""
        return 0 if self.memory is None else 1

    @property
    def memory_weight(self) -> float:
        """Size of the memory's evidence per standard deviation; 0 without a memory."""
        return 0.0 if self.memory is None else self.memory.weight

    def maps(self, row: Tensor) -> FeatureMaps:
        """Prepare a feature row (1, row_size) for the heads."""
        return self.of_maps(self.features.split(row))

    def of_maps(self, maps: FeatureMaps) -> FeatureMaps:
        """Prepare feature maps, (N, C, H_s, W_s) per scale, for the heads."""
        if self.reduction is not None:
            maps = project_maps(maps, self.reduction.components)
        scaled = [scale * self.factor for scale in maps]
        if self.memory is not None:
            evidence = self.memory.evidence(maps)
            scaled = [torch.cat(pair, dim=-3) for pair in zip(scaled, evidence, strict=True)]
        # Positions as rows of a matrix, as in training.
        return tuple(s.movedim(-3, -1).contiguous().movedim(-1, -3) for s in scaled)

    def groups(self) -> Groups:
        """The tensors by group and name."""
        return {
            "memory": {} if self.memory is None else self.memory.tensors(),
            "reduction": {} if self.reduction is None else self.reduction.tensors(),
        }

    @classmethod
    def read(
        cls, factor: float, memory: MemoryConstants | None, groups: Groups, *, heads: FeatureLayout
    ) -> Self:
        """Rebuild from constants and `groups`; `heads` is the shape of the heads' input maps.

        Raises:
            ValueError: if they are inconsistent.
        """
        features = heads if memory is None else heads.with_channels(-1)
        remembered = reduction = None
        if memory is not None:
            remembered = Memory.read(memory, groups.get("memory", {}), width=features.channels)
            if len(remembered.patches) != len(heads.scales):
                raise ValueError("the memory has another number of scales than the features")
        if "reduction" in groups:
            reduction = Reduction.read(groups["reduction"], width=features.channels)
            features = features.of_channels(len(reduction.components))
        return cls(features=features, reduction=reduction, factor=factor, memory=remembered)


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """Prepared features of the training images; the memory ignores an image's own patches.

    Attributes:
        preparation: the preparation, also for images to score.
        normals: features of the training normals.
        others: features of the labelled anomalies, then the pseudo anomalies; None without both.
    """

    preparation: Preparation
    normals: FeatureTable
    others: FeatureTable | None

    @property
    def everything(self) -> FeatureTable:
        """Features of the normals, then the others."""
        return self.normals if self.others is None else self.normals + self.others


def fit_preparation(
    normals: FeatureTable,
    anomalies: FeatureTable,
    pseudo: FeatureTable | None,
    made_of: NDArray[np.int64],
    config: Config,
    *,
    seed: int,
) -> Prepared:
    """Fit the preparation to training images, and apply it to them.

    Args:
        normals: feature rows of the training normals, at least two.
        anomalies: feature rows of the labelled anomalies.
        pseudo: feature rows of N pseudo anomalies; None if there are none.
        made_of: (N,) index of the normal that each pseudo anomaly was made from.
        config: all constants.
        seed: seed of all draws.
    """
    reduction = None
    if config.vectors.components:
        given = [table for table in (normals, anomalies, pseudo) if table is not None]
        reduction = fit_reduction(given, config.vectors.components, seed=seed)
    plain = Preparation(
        features=normals.layout,
        reduction=reduction,
        factor=l1_factor(reduced(reduction, normals), config.vectors.l1_norm),
        memory=None,
    )
    return _apply(plain, (normals, anomalies, pseudo), made_of, config.memory, seed)


def renew_preparation(
    old: Preparation,
    normals: FeatureTable,
    pseudo: FeatureTable | None,
    made_of: NDArray[np.int64],
    config: Config,
    *,
    seed: int,
) -> Prepared:
    """Keep a preparation's reduction and factor, and rebuild its memory, if any, of other normals.

    The other arguments are those of `fit_preparation`.
    """
    memory = config.memory if old.memory is not None else replace(config.memory, patches=0)
    return _apply(replace(old, memory=None), (normals, None, pseudo), made_of, memory, seed)


def _apply(
    preparation: Preparation,
    given: tuple[FeatureTable, FeatureTable | None, FeatureTable | None],
    made_of: NDArray[np.int64],
    config: MemoryConfig,
    seed: int,
) -> Prepared:
    """Reduce normals, anomalies and pseudo anomalies, build the memory, and scale all."""
    own_normals = (np.arange(len(given[0])), None, made_of)
    tables = [
        (reduced(preparation.reduction, table), own)
        for table, own in zip(given, own_normals, strict=True)
        if table is not None
    ]
    if config.patches:
        training = build_memory(tables[0][0], config, seed=seed)
        preparation = replace(preparation, memory=training.memory)
        tables = [(training.joined(table, own), own) for table, own in tables]
    normals, *others = (table.scaled(preparation.factor) for table, _ in tables)
    return Prepared(
        preparation=preparation,
        normals=normals,
        others=sum(others[1:], others[0]) if others else None,
    )


def l1_factor(normals: FeatureTable, l1_norm: float) -> float:
    """Factor that brings the mean L1 norm of the normals' feature vectors to `l1_norm`.

    Adam moves every weight by about the learning rate, so a score moves by the rate times the L1
    norm of its feature vector, which differs between backbones by factors of ten.

    Returns:
        the factor; 1 if `l1_norm` is 0 or the features are all zero.
    """
    total = sum(float(rows.abs().sum(dtype=torch.float64)) for _, rows in normals.chunks())
    vectors = len(normals) * normals.layout.row_size / normals.layout.channels
    mean = total / vectors
    return l1_norm / mean if l1_norm and mean else 1.0


def reduced(reduction: Reduction | None, table: FeatureTable) -> FeatureTable:
    """The reduced table; the table itself if `reduction` is None."""
    return table if reduction is None else table.projected(reduction.components)


def fit_reduction(
    tables: Sequence[FeatureTable], components: int, *, seed: int
) -> Reduction | None:
    """Fit principal components to the feature vectors of all positions and scales.

    Args:
        tables: tables of one layout, of each of which at most `MOST_IMAGES` images are used.
        components: largest number of components, at least 1.
        seed: seed of the choice of images.

    Returns:
        the reduction; None if there are no more channels than components.
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
        for _, rows in table.chosen(chosen).chunks(_CHUNK):
            for scale in table.layout.split(rows):
                vectors = scale.movedim(-3, -1).reshape(-1, channels)
                count += len(vectors)
                total += vectors.sum(dim=0, dtype=torch.float64)
                products += vectors.T @ vectors
    mean = total / count
    variances, directions = torch.linalg.eigh(products / count - torch.outer(mean, mean))
    # In ascending order; at least one is kept, also of images that are all alike.
    spread = int((variances > SMALLEST_VARIANCE * variances[-1].clamp_min(0)).sum())
    kept = directions.flip(1)[:, : max(1, min(components, spread))]
    # A direction has no sign of its own; which one comes out depends on the library.
    largest = kept.abs().argmax(dim=0, keepdim=True)
    signed = kept * kept.gather(0, largest).sign()
    # Contiguous as when read from a file: another order in memory is another order of sums.
    return Reduction(components=signed.half().float().contiguous())
