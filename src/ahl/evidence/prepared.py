"""From feature rows to what the heads see: fewer channels, one factor, the memory's evidence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ahl._common.tensor_file import Groups
from ahl.config import Config
from ahl.evidence.memory import Memory, MemoryConstants, TrainingMemory, build_memory
from ahl.evidence.reduction import Reduction, fit_reduction, reduced
from ahl.features.maps import FeatureLayout, FeatureMaps, project_maps
from ahl.features.table import FeatureTable


@dataclass(frozen=True, kw_only=True, eq=False)
class Preparation:
    """What is done to the features of an image before the heads see them.

    Attributes:
        features: shape of the maps in a feature row.
        reduction: of the channels, before all else; None keeps them.
        factor: what the reduced features are multiplied by, positive.
        memory: of the training normals, whose evidence is the last channel, not multiplied; None
            for none.
    """

    features: FeatureLayout
    reduction: Reduction | None
    factor: float
    memory: Memory | None

    @property
    def heads(self) -> FeatureLayout:
        """Shape of what the heads see."""
        return self._reduced.with_channels(self.appended)

    @property
    def appended(self) -> int:
        """Channels at the end that are no features."""
        return 0 if self.memory is None else 1

    @property
    def memory_weight(self) -> float:
        """Size of the memory's evidence a spread; 0 if there is no memory."""
        return 0.0 if self.memory is None else self.memory.weight

    def maps(self, row: Tensor) -> FeatureMaps:
        """What the heads see of a feature row (1, row_size)."""
        return self.of_maps(self.features.split(row))

    def of_maps(self, maps: FeatureMaps) -> FeatureMaps:
        """What the heads see of feature maps (N, C, H_s, W_s) a scale, all at once."""
        if self.reduction is not None:
            maps = project_maps(maps, self.reduction.components)
        scaled = [scale * self.factor for scale in maps]
        if self.memory is not None:
            evidence = self.memory.evidence(maps)
            scaled = [torch.cat(pair, dim=-3) for pair in zip(scaled, evidence, strict=True)]
        # Positions as rows of a matrix, as in training.
        return tuple(s.movedim(-3, -1).contiguous().movedim(-1, -3) for s in scaled)

    @property
    def _reduced(self) -> FeatureLayout:
        if self.reduction is None:
            return self.features
        return self.features.of_channels(self.reduction.components.shape[1])

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
        """The inverse of `groups`.

        Args:
            factor: what the reduced features are multiplied by.
            memory: the memory's constants; None for none.
            groups: may hold others too.
            heads: shape of what the heads see.

        Raises:
            ValueError: if they do not fit together.
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
    """Features of training images as the heads see them; an image's own patches do not count.

    Attributes:
        preparation: what was done, and is done to images that are scored.
        normals: of the training normals.
        others: of the labelled anomalies, then the pseudo anomalies; None if there are neither.
    """

    preparation: Preparation
    normals: FeatureTable
    others: FeatureTable | None

    @property
    def everything(self) -> FeatureTable:
        """Normals, then the others."""
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
        anomalies: of the labelled anomalies.
        pseudo: of the pseudo anomalies; None if there are none.
        made_of: (N,) the normal that each of these was made of.
        config: all constants.
        seed: of all draws.
    """
    reduction = None
    if config.vectors.components:
        given = [table for table in (normals, anomalies, pseudo) if table is not None]
        reduction = fit_reduction(given, config.vectors.components, seed=seed)
    return _with_memory(
        Preparation(
            features=normals.layout,
            reduction=reduction,
            factor=l1_factor(reduced(reduction, normals), config.vectors.l1_norm),
            memory=None,
        ),
        normals,
        anomalies,
        pseudo,
        made_of,
        config,
        seed,
    )


def renew_preparation(
    old: Preparation,
    normals: FeatureTable,
    pseudo: FeatureTable | None,
    made_of: NDArray[np.int64],
    config: Config,
    *,
    seed: int,
) -> Prepared:
    """The same reduction and factor with a memory of other normals, if there was one.

    Args:
        old: with the reduction and the factor.
        normals: as for `fit_preparation`; likewise the others.
        pseudo: of the pseudo anomalies.
        made_of: the normals that they were made of.
        config: all constants.
        seed: of the memory's draws.
    """
    memory = config.memory if old.memory is not None else replace(config.memory, patches=0)
    config = replace(config, memory=memory)
    return _with_memory(replace(old, memory=None), normals, None, pseudo, made_of, config, seed)


def _with_memory(
    plain: Preparation,
    normals: FeatureTable,
    anomalies: FeatureTable | None,
    pseudo: FeatureTable | None,
    made_of: NDArray[np.int64],
    config: Config,
    seed: int,
) -> Prepared:
    normals = reduced(plain.reduction, normals)
    anomalies = None if anomalies is None else reduced(plain.reduction, anomalies)
    pseudo = None if pseudo is None else reduced(plain.reduction, pseudo)
    remembered: TrainingMemory | None = None
    if config.memory.patches:
        remembered = build_memory(normals, config.memory, seed=seed)
        if anomalies is not None:
            anomalies = remembered.joined(anomalies, None)
        if pseudo is not None:
            pseudo = remembered.joined(pseudo, made_of)
        normals = remembered.joined(normals, np.arange(len(normals)))
    others = [table.scaled(plain.factor) for table in (anomalies, pseudo) if table is not None]
    return Prepared(
        preparation=replace(plain, memory=None if remembered is None else remembered.memory),
        normals=normals.scaled(plain.factor),
        others=sum(others[1:], others[0]) if others else None,
    )


def l1_factor(normals: FeatureTable, l1_norm: float) -> float:
    """Factor that brings the mean L1 norm of the normals' feature vectors to `l1_norm`.

    Adam moves every weight by about the learning rate, so that a score moves by the rate times
    the L1 norm of its feature vector: from one backbone to another this differs by tens.

    Returns:
        the factor; 1 if `l1_norm` is 0 or the features are all zero.
    """
    total = sum(float(rows.abs().sum(dtype=torch.float64)) for _, rows in normals.chunks())
    vectors = len(normals) * normals.layout.row_size / normals.layout.channels
    mean = total / vectors
    return l1_norm / mean if l1_norm and mean else 1.0
