"""The extension point for base detectors: heads on feature maps, with their loss.

A detector is a description, not a container of weights: its methods are pure functions of
parameter dictionaries, so that the T base models and the unified model share one detector and
run batched under `torch.func.vmap`.
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
"""(N,) scores by head name."""
PositionScores = dict[str, Tensor]
"""(N, H, W) scores of the positions at one scale by head name, higher = more anomalous."""

MEMORY: Final = "memory"
"""Name of the memory's evidence beside that of the heads; no head may have it."""


class BaseDetector(ABC):
    """Heads that score feature maps, and their loss (section 3 of DRA and of DevNet).

    Args:
        config: the heads' constants.
        layout: shape of the feature maps the heads will see.
        prior: reference scores of the deviation loss.
    """

    name: ClassVar[str]
    """Unique name, lower case: what `--heads` takes."""
    head_names: ClassVar[tuple[str, ...]]
    """Names of the heads, in the order they are reported."""
    meanings: ClassVar[Mapping[str, str]] = {}
    """Meaning of a head that finds an image anomalous, as `it is ...`, by name."""

    def __init__(self, config: HeadConfig, layout: FeatureLayout, prior: Prior) -> None:
        self.config = config
        self.layout = layout
        self.prior = prior

    @abstractmethod
    def initial_parameters(self, generator: torch.Generator) -> Parameters:
        """Draw float32 parameters; the same generator state gives the same values."""

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
            parameters: as `initial_parameters` gives them.
            statistics: as `initial_statistics` gives them; not modified.
            maps: one (N, C, H_s, W_s) tensor a scale.
            references: one (C, H_s, W_s) tensor a scale: the mean normal to compare with.
            training: normalise by the batch, and move every running statistic towards the
                batch's own: `before + config.norm_momentum * (the batch's - before)`; else
                normalise by the statistics.

        Returns:
            (N,) scores by head name, and the statistics after the batch (unchanged when not
            training). When not training, an image's scores do not depend on its batch.
        """

    def position_scores(
        self,
        parameters: Parameters,
        statistics: Statistics,
        maps: FeatureMaps,
        references: FeatureMaps,
    ) -> tuple[PositionScores, ...]:
        """Score the positions at every scale, for each head that sees places.

        A head's evidence is the mean over the scales of `top_mean` of these.

        Args:
            parameters: as for `forward`.
            statistics: as for `forward`.
            maps: one (N, C, H_s, W_s) tensor a scale.
            references: one (C, H_s, W_s) tensor a scale.
        """
        return tuple({} for _ in maps)

    @abstractmethod
    def loss(self, scores: HeadScores, kinds: Tensor) -> Tensor:
        """Scalar loss of a batch; `kinds` is (N,) of `ahl._common.types.Kind` values."""

    @abstractmethod
    def combine(self, scores: HeadScores) -> Tensor:
        """(N,) image scores, higher = more anomalous, from the heads' scores."""

    def evidence(self, scores: HeadScores) -> HeadScores:
        """The heads' scores (N,) turned so that higher = more anomalous for each."""
        return scores

    @property
    def labelled_heads(self) -> frozenset[str]:
        """Heads that labelled anomalies alone teach: the loss asks nothing of a pseudo anomaly."""
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
        """Image score that training asks for: (of a normal, of an anomaly), increasing."""


def top_mean(position_scores: Tensor, fraction: float) -> Tensor:
    """Mean of the highest positions (DevNet's top-k pooling): (N, P) -> (N,).

    The number averaged is `fraction` of P, rounded down, and at least 1.
    """
    count = max(1, int(fraction * position_scores.shape[-1]))
    return position_scores.topk(count, dim=-1).values.mean(dim=-1)


def fan_in_uniform(shape: tuple[int, ...], fan_in: int, generator: torch.Generator) -> Tensor:
    """Draw from U(-b, b), b = 1/sqrt(fan_in): what torch's linear and conv layers start from."""
    bound = fan_in**-0.5
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)
