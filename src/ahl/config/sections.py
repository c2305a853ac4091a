"""The config's sections, each for a part of the method; `features` is in `image_size`."""

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
    """Reduction and scale of the feature vectors that all learning sees.

    Not in the papers (docs/deviations.md).

    Attributes:
        components: principal components that the channels are reduced to; 0 keeps them all.
        l1_norm: one factor brings the mean L1 norm of the training normals' feature vectors to
            this value, so that learning rates mean the same for every backbone; 0 has none.
    """

    section = "vectors"

    components: Width = 128
    l1_norm: NotNegative = 600.0


@dataclass(frozen=True, kw_only=True)
class MemoryConfig(Checked):
    """Normal-only evidence beside the labelled one: distances to remembered normal patches.

    Not in the papers (docs/deviations.md).

    Attributes:
        patches: how many the memory keeps for each scale; 0 has no memory.
        candidates: patches drawn at random that those are chosen from.
        weight: size of the evidence where a patch is one spread of the normals farther from the
            memory than they are on average; features have a mean L1 norm of `vectors.l1_norm`.
        highest: evidence is cut off at this many spreads above the normals' mean.
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
        prior_draws: draws from N(0, 1) that set the prior's mean and deviation.
        holistic_hidden: width of the hidden layer of DRA's holistic head.
        pseudo_weight: weight of a pseudo anomaly, where a labelled one has 1, in the loss of
            the two heads that must tell both: DevNet's and DRA's residual one.
        holistic_pseudo: whether pseudo anomalies train DRA's holistic head. They are small
            patches, which a global average hardly shows.
        initial_scale: factor on the first weights of the maps from features to position scores.
            A few anomalies leave most directions of the features undecided; what the first
            weights put there stays, and is noise in every score.
        residual_bottleneck: channels that a 1x1 map leaves for the residual head's 3x3
            convolution; 0 has no such map.
        residual_channels: output channels of the residual head's 3x3 convolution;
            0 keeps as many as the feature maps have.
        reference_normals: normals averaged into a training batch's residual reference.
        stored_references: normals averaged into the reference that the model keeps;
            0 takes all training normals.
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
        virtual_seen_fraction: share of the labelled anomalies that a support set sees.
        anomaly_overlap: which anomalies support and query share (the paper's table 10).
        pseudo: whether pseudo anomalies are made at all.
        twin_fraction: share of the normals that get a pseudo twin, for each generator.
        episodes: T, if fewer than all C * (C - 1) + 1; the one over all normals stays, of the
            others a random choice; 0 takes all.
    """

    section = "distributions"

    grouping: Grouping = "k-means"
    clusters: Annotated[int, Meta(ge=1, le=50)] = 3
    smallest_cluster: Natural = 3
    virtual_seen_fraction: OpenShare = 0.5
    anomaly_overlap: AnomalyOverlap = "support_in_query"
    pseudo: bool = True
    twin_fraction: PositiveShare = 0.5
    episodes: Count = 0


@dataclass(frozen=True, kw_only=True)
class LearningConfig(Checked):
    """Collaborative differentiable learning (AHL, section 3.3, Algorithm 1).

    Attributes:
        epochs: N of Algorithm 1.
        rounds: outer updates an epoch; the paper makes one.
        inner_steps: support batches before each outer update.
        query_batches: query batches whose mean gradient makes one outer update.
        batch_size: samples a batch, shared out evenly among the kinds present.
        inner_rate: learning rate of the base models (Adam).
        outer_rate: learning rate of the unified model (Adam), alpha of Eq. 4.
        averaged_epochs: the result's weights are the mean of g after each of this many last
            epochs (Polyak and Juditsky, 1992); 1 takes the last alone.
        collaborative: Algorithm 1, with its episodes; False trains the base detector by itself for
            as many steps. Which pays: docs/does-ahl-help.md.
        second_order: differentiate through the inner steps instead of taking the gradient at
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
    collaborative: bool = False
    second_order: bool = False

    def steps_before_average(self, steps: int) -> int:
        """Steps before the averaged epochs, of the `steps` of a whole training."""
        return steps * max(0, self.epochs - self.averaged_epochs) // self.epochs

    def alone(self, epochs: int) -> Self:
        """The same for a model that goes on training without episodes, for fewer epochs."""
        averaged = min(self.averaged_epochs, max(1, epochs // 2))
        return replace(self, collaborative=False, epochs=epochs, averaged_epochs=averaged)


@dataclass(frozen=True, kw_only=True)
class ImportanceConfig(Checked):
    """Importance scores of the base models by sequence modelling (AHL, section 3.4).

    Attributes:
        source: what Eq. 6 judges: scores that psi predicts, those measured in the same epoch (the
            ablation CDL-), or nothing, which weighs all base models equally.
        history: K, the largest number of past score vectors that psi reads.
        first_epoch: epochs that weigh all base models equally: with 4, the fifth is the first that
            does not, as in Algorithm 1; psi then reads the four score vectors that there are.
        hidden: hidden units of psi's LSTM, each direction.
        rate: learning rate of psi (Adam).
        steps: optimiser steps psi takes an epoch.
        batch_size: samples a step.
        error: form of Eq. 6; `"calibrated"` maps scores onto 0..1 before comparing them with
            labels, `"paper"` compares them as they are.
        unseen_weight: c_j of Eq. 6 where a sample is an anomaly the base model has not seen.
        seen_weight: c_j of Eq. 6 otherwise.
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

    Not in the papers, which add the heads' scores up as they are (docs/deviations.md).

    Attributes:
        folds: models of the heads trained alone, each without its fold of the normals and of the
            labelled anomalies, whose out-of-fold scores show what a head's score is worth; 0 adds
            the scores up as the base detector does.
        share: their training, as a share of the steps of a whole one.
        prior_count: anomalies that the prior weights count as: 1 for a head, M/(M + 1) for one that
            M labelled anomalies alone teach.
        memory_belief: the memory's prior weight.
        neighbours: out-of-fold normals most like an image, at least, which say what is usual for
            it; 0 compares every image with all of them.
        neighbour_share: as many, as a share of the normals, if these are more.
        neighbour_prior: how many neighbours the belief that all normals are alike weighs.
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
