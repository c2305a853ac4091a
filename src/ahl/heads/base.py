"""The extension point for base detectors: heads on feature maps, and their loss.

A detector holds no weights: its methods are pure functions of parameter dictionaries, so that the
T base models and the unified model share one detector and can be batched by `torch.func.vmap`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Final

import torch
from torch import Tensor

from ahl._common.types import Kind
from ahl.config import HeadConfig
from ahl.features.maps import FeatureLayout, FeatureMaps
from ahl.heads.losses import Prior

Parameters = dict[str, Tensor]
"""Trainable tensors by name."""
Statistics = dict[str, Tensor]
"""Running statistics by name: float tensors that training updates without gradients."""
HeadScores = dict[str, Tensor]
"""Scores (N,) by head name."""
PositionScores = dict[str, Tensor]
"""Position scores (N, H, W) at one scale by head name; higher is more anomalous."""

MEMORY: Final = "memory"
"""Name of the memory's evidence, which no head may have."""


class BaseDetector(ABC):
    """Base class of base detectors (section 3 of DRA and of DevNet).

    Args:
        config: the heads' constants.
        layout: shape of the heads' input maps.
        prior: mean and standard deviation of the deviation loss's reference scores.
    """

    name: ClassVar[str]
    """Unique name for `--heads`, lower case."""
    head_names: ClassVar[tuple[str, ...]]
    """Names of the heads, in the order of reports."""
    meanings: ClassVar[Mapping[str, str]] = {}
    """Meanings of a high score by head name, to complete the sentence `it is ...`."""

    def __init__(self, config: HeadConfig, layout: FeatureLayout, prior: Prior) -> None:
        self.config = config
        self.layout = layout
        self.prior = prior

    @abstractmethod
    def initial_parameters(self, generator: torch.Generator) -> Parameters:
        """Draw initial float32 parameters; the same generator state gives the same values."""

    def initial_statistics(self) -> Statistics:
        """Running statistics before training; empty for heads without normalisation."""
        return {}

    @abstractmethod
    def forward(
        self,
        parameters: Parameters,
        statistics: Statistics,
        maps: FeatureMaps,
        references: FeatureMaps,
        *,
        training: bool,
    ) -> tuple[HeadScores, Statistics]:
        """Score a batch.

        Args:
            parameters: parameters as from `initial_parameters`.
            statistics: statistics as from `initial_statistics`; not modified.
            maps: one (N, C, H_s, W_s) tensor per scale.
            references: one (C, H_s, W_s) tensor per scale: the mean normal to compare with.
            training: True to normalise by the batch, and to move every running statistic to
                `before + config.norm_momentum * (the batch's - before)`; False to normalise by
                the statistics.

        Returns:
            (N,) scores by head name, and the statistics after the batch (unchanged if not
            training). Outside of training, an image's scores do not depend on its batch.
        """

    def position_scores(
        self,
        parameters: Parameters,
        statistics: Statistics,
        maps: FeatureMaps,
        references: FeatureMaps,
    ) -> tuple[PositionScores, ...]:
        """Score the positions at every scale, for each head that scores positions.

        A head's evidence is the mean over the scales of `top_mean` of these scores.

        Args:
            parameters: as for `forward`.
            statistics: as for `forward`.
            maps: one (N, C, H_s, W_s) tensor per scale.
            references: one (C, H_s, W_s) tensor per scale.
        """
        return tuple({} for _ in maps)

    @abstractmethod
    def loss(self, scores: HeadScores, kinds: Tensor) -> Tensor:
        """Scalar loss of a batch; `kinds` are (N,) values of `ahl._common.types.Kind`."""

    @abstractmethod
    def combine(self, scores: HeadScores) -> Tensor:
        """Image scores (N,) from the heads' scores; higher is more anomalous."""

    def evidence(self, scores: HeadScores) -> HeadScores:
        """The heads' scores (N,), negated if necessary so that higher is more anomalous."""
        return scores

    @property
    def labelled_heads(self) -> frozenset[str]:
        """Names of the heads that learn only from labelled anomalies, not from pseudo ones."""
        with torch.inference_mode(False), torch.enable_grad():
            scores = {name: torch.zeros(2, requires_grad=True) for name in self.head_names}
            loss = self.loss(scores, torch.tensor([Kind.NORMAL, Kind.PSEUDO]))
            if loss.requires_grad:
                loss.backward()  # type: ignore[no-untyped-call]
        asked = (name for name, score in scores.items() if score.grad is not None and score.grad[1])
        return frozenset(self.head_names) - frozenset(asked)

    @property
    @abstractmethod
    def expected_scores(self) -> tuple[float, float]:
        """Target image scores of training, of a normal and, higher, of an anomaly."""


def top_mean(position_scores: Tensor, fraction: float) -> Tensor:
    """Mean of the highest position scores (DevNet's top-k pooling): (N, P) -> (N,).

    It averages a `fraction` of the P positions, rounded down, and at least one.
    """
    count = max(1, int(fraction * position_scores.shape[-1]))
    return position_scores.topk(count, dim=-1).values.mean(dim=-1)


def fan_in_uniform(shape: tuple[int, ...], fan_in: int, generator: torch.Generator) -> Tensor:
    """Draw from U(-b, b), b = 1/sqrt(fan_in), as torch initialises linear and conv layers."""
    bound = fan_in**-0.5
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)
