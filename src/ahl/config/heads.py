"""The detection heads and their loss: section 3 of DRA and of DevNet."""

from __future__ import annotations

from dataclasses import dataclass

from ahl.config._checks import require


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """The detection heads and their loss (section 3 of DRA and of DevNet).

    Attributes:
        top_fraction: share of positions averaged by a DevNet head (0 < f <= 1).
        margin: m of the deviation loss, in standard deviations of the prior.
        prior_draws: draws from N(0, 1) that set the prior's mean and deviation.
        holistic_hidden: width of the hidden layer of DRA's holistic head.
        pseudo_weight: weight of a pseudo anomaly, where a labelled one has 1, in the loss of
            the two heads that must tell both: DevNet's and DRA's residual one (0 to 1).
        holistic_pseudo: whether pseudo anomalies train DRA's holistic head. They are small
            patches, which a global average hardly shows.
        initial_scale: factor on the first weights of the maps from features to position scores.
            A few anomalies leave most directions of the features undecided; what the first
            weights put there stays, and is noise in every score.
        holistic_capped: whether DRA's holistic score counts up to the margin only. Its loss stops
            there, so what lies above depends on chance, and outweighs the other heads.
        residual_bottleneck: channels that a 1x1 map leaves for the residual head's 3x3
            convolution; 0 has no such map.
        residual_channels: output channels of the residual head's 3x3 convolution;
            0 keeps as many as the feature maps have.
        reference_normals: normals averaged into a training batch's residual reference.
        stored_references: normals averaged into the reference that the model keeps;
            0 takes all training normals.
        norm_momentum: weight of the newest batch in the running batch-norm statistics.
    """

    top_fraction: float = 0.1
    margin: float = 5.0
    prior_draws: int = 5000
    holistic_hidden: int = 256
    pseudo_weight: float = 0.3
    holistic_pseudo: bool = False
    initial_scale: float = 0.01
    holistic_capped: bool = True
    residual_bottleneck: int = 32
    residual_channels: int = 32
    reference_normals: int = 5
    stored_references: int = 0
    norm_momentum: float = 0.1

    def __post_init__(self) -> None:
        require(0.0 < self.top_fraction <= 1.0, "top_fraction", self.top_fraction, "in (0, 1]")
        require(self.margin > 0.0, "margin", self.margin, "positive")
        require(self.prior_draws >= 2, "prior_draws", self.prior_draws, "at least 2")
        # Upper limits: the values may come from a model file that somebody else wrote.
        require(
            1 <= self.holistic_hidden <= 4096,
            "holistic_hidden",
            self.holistic_hidden,
            "from 1 to 4096",
        )
        require(0.0 <= self.pseudo_weight <= 1.0, "pseudo_weight", self.pseudo_weight, "in [0, 1]")
        require(0.0 < self.initial_scale <= 1.0, "initial_scale", self.initial_scale, "in (0, 1]")
        require(
            0 <= self.residual_bottleneck <= 4096,
            "residual_bottleneck",
            self.residual_bottleneck,
            "from 0 to 4096",
        )
        require(
            0 <= self.residual_channels <= 4096,
            "residual_channels",
            self.residual_channels,
            "from 0 to 4096",
        )
        require(self.reference_normals >= 1, "reference_normals", self.reference_normals, ">= 1")
        require(self.stored_references >= 0, "stored_references", self.stored_references, ">= 0")
        require(0.0 < self.norm_momentum <= 1.0, "norm_momentum", self.norm_momentum, "in (0, 1]")
