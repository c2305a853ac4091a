"""The sections of the config; `features` is in `ahl.config.image_size`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self

from msgspec import Meta

from ahl._common.errors import ConfigurationError
from ahl._common.schema import (
    Checked,
    Count,
    Natural,
    NotNegative,
    OpenShare,
    Positive,
    PositiveShare,
    Share,
)

AnomalyOverlap = Literal["support_in_query", "disjoint", "query_in_support", "both"]
Grouping = Literal["k-means", "random"]
ErrorForm = Literal["calibrated", "paper"]
ImportanceSource = Literal["psi", "measured", "equal"]

Width = Annotated[int, Meta(ge=0, le=4096)]
Batch = Annotated[int, Meta(ge=3, le=10**9)]


@dataclass(frozen=True, kw_only=True)
class VectorConfig(Checked):
    """Reduction and scale of the feature vectors before learning.

    Not in the papers (docs/deviations.md).

    Attributes:
        components: number of principal components that channels are reduced to; 0 keeps all.
        l1_norm: mean L1 norm that one factor gives to the training normals' feature vectors, so
            that learning rates suit every backbone; 0 for no factor.
    """

    section = "vectors"

    components: Width = 128
    l1_norm: NotNegative = 600.0


@dataclass(frozen=True, kw_only=True)
class MemoryConfig(Checked):
    """Memory of normal patches, whose distances are evidence that needs no labels.

    Not in the papers (docs/deviations.md).

    Attributes:
        patches: number of patches kept per scale; 0 for no memory.
        candidates: number of random patches that these are chosen from.
        weight: size of the evidence per standard deviation of the normals' distances, beside
            features with a mean L1 norm of `vectors.l1_norm`.
        highest: upper bound of the evidence, in standard deviations above the normals' mean.
    """

    section = "memory"

    patches: Annotated[int, Meta(ge=0, le=100_000)] = 2000
    candidates: Annotated[int, Meta(ge=1, le=10**7)] = 20_000
    weight: Positive = 15.0
    highest: Positive = 10.0


@dataclass(frozen=True, kw_only=True)
class HeadConfig(Checked):
    """The detection heads and their loss (section 3 of DRA and of DevNet).

    Attributes:
        top_fraction: share of positions averaged by a DevNet head.
        margin: m of the deviation loss, in standard deviations of the prior.
        prior_draws: number of draws from N(0, 1) that set the prior's mean and deviation.
        holistic_hidden: width of the hidden layer of DRA's holistic head.
        pseudo_weight: weight of a pseudo anomaly, relative to a labelled one, in the loss of the
            two heads that learn from both: DevNet's and DRA's residual one.
        holistic_pseudo: True to train DRA's holistic head on pseudo anomalies, too. They are small
            patches, which hardly change a global average.
        initial_scale: factor on the initial weights from features to position scores. A few
            anomalies leave most feature directions undetermined; there the initial weights remain,
            as noise in every score.
        residual_bottleneck: channels to which a 1x1 map reduces the input of the residual head's
            3x3 convolution; 0 for no such map.
        residual_channels: output channels of the residual head's 3x3 convolution;
            0 for as many as the feature maps have.
        reference_normals: number of normals averaged into a training batch's residual reference.
        stored_references: number of normals averaged into the reference that the model keeps;
            0 for all training normals.
        norm_momentum: weight of the newest batch in the running batch-norm statistics.
    """

    section = "heads"

    top_fraction: PositiveShare = 0.1
    margin: Positive = 5.0
    prior_draws: Annotated[int, Meta(ge=2, le=10**9)] = 5000
    holistic_hidden: Annotated[int, Meta(ge=1, le=4096)] = 256
    pseudo_weight: Share = 0.3
    holistic_pseudo: bool = False
    initial_scale: PositiveShare = 0.01
    residual_bottleneck: Width = 32
    residual_channels: Width = 32
    reference_normals: Natural = 5
    stored_references: Count = 0
    norm_momentum: PositiveShare = 0.1


@dataclass(frozen=True, kw_only=True)
class DistributionConfig(Checked):
    """Heterogeneous anomaly distribution generation (AHL, section 3.2).

    Attributes:
        grouping: how the normals are grouped: by k-means, or at random (the ablation RamHADG).
        clusters: C, the number of groups; C * (C - 1) episodes come from their ordered pairs.
        smallest_cluster: clusters with fewer normals than this are dropped.
        virtual_seen_fraction: share of the labelled anomalies in a support set.
        anomaly_overlap: anomalies that support and query share (the paper's table 10).
        pseudo: True to make pseudo anomalies.
        twin_fraction: share of the normals from which each generator makes a pseudo anomaly.
        max_episodes: largest number T of episodes; 0 for all C * (C - 1) + 1. A smaller one keeps
            the episode over all normals and draws the others at random.
    """

    section = "distributions"

    grouping: Grouping = "k-means"
    clusters: Annotated[int, Meta(ge=1, le=50)] = 3
    smallest_cluster: Natural = 3
    virtual_seen_fraction: OpenShare = 0.5
    anomaly_overlap: AnomalyOverlap = "support_in_query"
    pseudo: bool = True
    twin_fraction: PositiveShare = 0.5
    max_episodes: Count = 0


@dataclass(frozen=True, kw_only=True)
class LearningConfig(Checked):
    """Collaborative differentiable learning (AHL, section 3.3, Algorithm 1).

    Attributes:
        epochs: number N of epochs in Algorithm 1.
        rounds: outer updates per epoch; 1 in the paper.
        inner_steps: support batches before each outer update.
        query_batches: query batches over which the gradient of an outer update is averaged.
        batch_size: samples per batch, divided evenly among the kinds present.
        inner_rate: learning rate of the base models (Adam).
        outer_rate: learning rate of the unified model (Adam), alpha of Eq. 4.
        averaged_epochs: number of last epochs after which g's weights are averaged into the result
            (Polyak and Juditsky, 1992); 1 takes the last weights.
        episodes: True for Algorithm 1 with its episodes; False trains the base detector alone for
            as many steps (docs/does-ahl-help.md compares both).
        second_order: True to differentiate through the inner steps; False takes the gradient at
            the adapted weights.
    """

    section = "learning"

    epochs: Natural = 30
    rounds: Natural = 8
    inner_steps: Natural = 1
    query_batches: Natural = 1
    batch_size: Batch = 32
    inner_rate: OpenShare = 5e-4
    outer_rate: OpenShare = 5e-4
    averaged_epochs: Natural = 15
    episodes: bool = False
    second_order: bool = False

    def steps_before_average(self, steps: int) -> int:
        """Number of steps before the averaged epochs, in a training of `steps` steps."""
        return steps * max(0, self.epochs - self.averaged_epochs) // self.epochs

    def alone(self, epochs: int) -> Self:
        """The constants for further training without episodes, for `epochs` epochs."""
        averaged = min(self.averaged_epochs, max(1, epochs // 2))
        return replace(self, episodes=False, epochs=epochs, averaged_epochs=averaged)


@dataclass(frozen=True, kw_only=True)
class ImportanceConfig(Checked):
    """Importance scores of the base models by sequence modelling (AHL, section 3.4).

    Attributes:
        source: scores in Eq. 6: those that psi predicts, those measured in the same epoch (the
            ablation CDL-), or none, which weights all base models equally.
        history: largest number K of past score vectors that psi reads.
        first_epoch: number of epochs that weight all base models equally: with 4, as in
            Algorithm 1, the fifth is the first that does not; psi then reads four score vectors.
        hidden: hidden units of psi's LSTM, per direction.
        rate: learning rate of psi (Adam).
        steps: psi's optimiser steps per epoch.
        batch_size: samples per step.
        error: form of Eq. 6; `"calibrated"` maps scores onto 0..1 before comparing them with
            labels, `"paper"` compares the raw scores.
        unseen_weight: c_j of Eq. 6 for an anomaly that the base model has not seen.
        seen_weight: c_j of Eq. 6 for other samples.
    """

    section = "importance"

    source: ImportanceSource = "psi"
    history: Natural = 5
    first_epoch: Count = 5
    hidden: Natural = 7
    rate: OpenShare = 0.02
    steps: Natural = 10
    batch_size: Natural = 256
    error: ErrorForm = "calibrated"
    unseen_weight: NotNegative = 1.0
    seen_weight: NotNegative = 0.5


@dataclass(frozen=True, kw_only=True)
class CalibrationConfig(Checked):
    """Calibration of the heads' scores and the memory's evidence into one image score.

    Not in the papers, which add up the heads' raw scores (docs/deviations.md).

    Attributes:
        folds: number of fold models, each trained without its fold of the normals and labelled
            anomalies, to give out-of-fold scores; 0 adds up raw scores as the base detector does.
        share: steps of a fold model, as a share of those of the whole training.
        prior_count: number of anomalies that the prior weights count as. A head's prior weight is
            1, or M/(M + 1) if it learns only from the M labelled anomalies.
        memory_belief: the memory's prior weight.
        neighbours: smallest number of nearest out-of-fold normals that an image is compared with;
            0 compares every image with all normals.
        neighbour_share: number of neighbours as a share of the normals, if that is more.
        neighbour_prior: number of neighbours that the prior, the spread of all normals, counts as.
    """

    section = "calibration"

    folds: Annotated[int, Meta(ge=0, le=100)] = 3
    share: PositiveShare = 1.0
    prior_count: Positive = 3.0
    memory_belief: Positive = 1.5
    neighbours: Count = 20
    neighbour_share: Share = 0.3
    neighbour_prior: Positive = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.folds == 1:
            raise ConfigurationError("calibration.folds is 1; expected 0, or from 2 to 100.")


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(Checked):
    """Stage 0: the backbone trained end to end under the base loss (AHL, section 4.1)."""

    section = "finetune"

    epochs: Natural = 30
    steps: Natural = 20
    batch_size: Batch = 48
    rate: OpenShare = 2e-4
    weight_decay: Annotated[float, Meta(ge=0, lt=1)] = 1e-5
    decay_every: Natural = 10
    decay: PositiveShare = 0.1
