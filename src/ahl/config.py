"""Every constant of the method in one place, with the two presets.

The dataclasses are keyword-only and frozen, and refuse values that cannot work, naming the
field. Presets are functions: `default()` is what measured best here with one setting for all
datasets, `paper()` is the published method (docs/deviations.md lists the differences).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, get_args

from ahl.errors import ConfigurationError

PresetName = Literal["default", "paper"]
AnomalyOverlap = Literal["support_in_query", "disjoint", "query_in_support", "both"]
ErrorForm = Literal["calibrated", "paper"]


def _require(condition: bool, name: str, value: object, expected: str) -> None:
    if not condition:
        raise ConfigurationError(f"{name} is {value!r}; it must be {expected}.")


@dataclass(frozen=True, kw_only=True)
class FeatureConfig:
    """How images become feature maps (section 1 of the method).

    Attributes:
        image_size: side, in pixels, of the square every image is resized to; the second scale
            is half of it.
        batch_size: images that go through the backbone together.
        l1_norm: one factor brings the mean L1 norm of the training normals' feature vectors to
            this value, so that learning rates mean the same for every backbone; 0 has none.
    """

    image_size: int = 224
    batch_size: int = 16
    l1_norm: float = 600.0

    def __post_init__(self) -> None:
        _require(
            32 <= self.image_size <= 4096 and self.image_size % 2 == 0,
            "image_size",
            self.image_size,
            "an even number of pixels from 32 to 4096",
        )
        _require(self.batch_size >= 1, "batch_size", self.batch_size, "at least 1")
        _require(0.0 <= self.l1_norm < float("inf"), "l1_norm", self.l1_norm, "0 or positive")


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """The detection heads and their loss (section 3 of the method).

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
        _require(0.0 < self.top_fraction <= 1.0, "top_fraction", self.top_fraction, "in (0, 1]")
        _require(self.margin > 0.0, "margin", self.margin, "positive")
        _require(self.prior_draws >= 2, "prior_draws", self.prior_draws, "at least 2")
        # Upper limits: the values may come from a model file that somebody else wrote.
        _require(
            1 <= self.holistic_hidden <= 4096,
            "holistic_hidden",
            self.holistic_hidden,
            "from 1 to 4096",
        )
        _require(0.0 <= self.pseudo_weight <= 1.0, "pseudo_weight", self.pseudo_weight, "in [0, 1]")
        _require(0.0 < self.initial_scale <= 1.0, "initial_scale", self.initial_scale, "in (0, 1]")
        _require(
            0 <= self.residual_bottleneck <= 4096,
            "residual_bottleneck",
            self.residual_bottleneck,
            "from 0 to 4096",
        )
        _require(
            0 <= self.residual_channels <= 4096,
            "residual_channels",
            self.residual_channels,
            "from 0 to 4096",
        )
        _require(self.reference_normals >= 1, "reference_normals", self.reference_normals, ">= 1")
        _require(self.stored_references >= 0, "stored_references", self.stored_references, ">= 0")
        _require(0.0 < self.norm_momentum <= 1.0, "norm_momentum", self.norm_momentum, "in (0, 1]")


@dataclass(frozen=True, kw_only=True)
class DistributionConfig:
    """Heterogeneous anomaly distribution generation (section 2 of the method).

    Attributes:
        clusters: C of the k-means over the normals; C * (C - 1) episodes come from its pairs.
        smallest_cluster: clusters with fewer normals than this are dropped.
        virtual_seen_fraction: share of the labelled anomalies that a support set sees.
        anomaly_overlap: which anomalies support and query share (the paper's table 10).
        pseudo: whether pseudo anomalies are made at all.
        twin_fraction: share of the normals that get a pseudo twin, for each generator.
    """

    clusters: int = 3
    smallest_cluster: int = 3
    virtual_seen_fraction: float = 0.5
    anomaly_overlap: AnomalyOverlap = "support_in_query"
    pseudo: bool = True
    twin_fraction: float = 0.5

    def __post_init__(self) -> None:
        _require(1 <= self.clusters <= 50, "clusters", self.clusters, "from 1 to 50")
        _require(self.smallest_cluster >= 1, "smallest_cluster", self.smallest_cluster, ">= 1")
        _require(
            0.0 < self.virtual_seen_fraction < 1.0,
            "virtual_seen_fraction",
            self.virtual_seen_fraction,
            "between 0 and 1",
        )
        _require(
            self.anomaly_overlap in get_args(AnomalyOverlap),
            "anomaly_overlap",
            self.anomaly_overlap,
            f"one of {', '.join(get_args(AnomalyOverlap))}",
        )
        _require(0.0 < self.twin_fraction <= 1.0, "twin_fraction", self.twin_fraction, "in (0, 1]")


@dataclass(frozen=True, kw_only=True)
class LearningConfig:
    """Collaborative differentiable learning (section 4 of the method, Algorithm 1).

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
        collaborative: Algorithm 1; False trains the base detector alone for as many steps, the
            comparison every figure of AHL needs.
        second_order: differentiate through the inner steps instead of taking the gradient at
            the adapted weights.
    """

    epochs: int = 30
    rounds: int = 15
    inner_steps: int = 1
    query_batches: int = 1
    batch_size: int = 32
    inner_rate: float = 2e-4
    outer_rate: float = 0.002
    averaged_epochs: int = 15
    collaborative: bool = True
    second_order: bool = False

    def __post_init__(self) -> None:
        _require(self.epochs >= 1, "epochs", self.epochs, "at least 1")
        _require(self.rounds >= 1, "rounds", self.rounds, "at least 1")
        _require(self.inner_steps >= 1, "inner_steps", self.inner_steps, "at least 1")
        _require(self.averaged_epochs >= 1, "averaged_epochs", self.averaged_epochs, "at least 1")
        _require(self.query_batches >= 1, "query_batches", self.query_batches, "at least 1")
        _require(self.batch_size >= 3, "batch_size", self.batch_size, "at least 3")
        _require(0 < self.inner_rate < 1, "inner_rate", self.inner_rate, "between 0 and 1")
        _require(0 < self.outer_rate < 1, "outer_rate", self.outer_rate, "between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class ImportanceConfig:
    """Importance scores by sequence modelling (section 5 of the method).

    Attributes:
        history: K, the number of past score vectors that psi reads.
        first_epoch: epochs before this one weigh all base models equally.
        hidden: hidden units of psi's LSTM, each direction.
        rate: learning rate of psi (Adam).
        steps: optimiser steps psi takes an epoch.
        batch_size: samples a step.
        error: form of Eq. 6; `"calibrated"` maps scores onto 0..1 before comparing them with
            labels, `"paper"` compares them as they are.
        unseen_weight: c_j of Eq. 6 where a sample is an anomaly the base model has not seen.
        seen_weight: c_j of Eq. 6 otherwise.
    """

    history: int = 5
    first_epoch: int = 5
    hidden: int = 7
    rate: float = 0.02
    steps: int = 10
    batch_size: int = 256
    error: ErrorForm = "calibrated"
    unseen_weight: float = 1.0
    seen_weight: float = 0.5

    def __post_init__(self) -> None:
        _require(self.history >= 1, "history", self.history, "at least 1")
        _require(self.first_epoch >= 0, "first_epoch", self.first_epoch, "at least 0")
        _require(self.hidden >= 1, "hidden", self.hidden, "at least 1")
        _require(0 < self.rate < 1, "rate", self.rate, "between 0 and 1")
        _require(self.unseen_weight >= 0, "unseen_weight", self.unseen_weight, "0 or positive")
        _require(self.seen_weight >= 0, "seen_weight", self.seen_weight, "0 or positive")
        _require(self.steps >= 1, "steps", self.steps, "at least 1")
        _require(self.batch_size >= 1, "batch_size", self.batch_size, "at least 1")
        _require(self.error in get_args(ErrorForm), "error", self.error, "'calibrated' or 'paper'")


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """Stage 0: the backbone trained end to end under the base loss (section 6 of the method)."""

    epochs: int = 30
    steps: int = 20
    batch_size: int = 48
    rate: float = 2e-4
    weight_decay: float = 1e-5
    decay_every: int = 10
    decay: float = 0.1

    def __post_init__(self) -> None:
        _require(self.epochs >= 1, "finetune epochs", self.epochs, "at least 1")
        _require(self.steps >= 1, "finetune steps", self.steps, "at least 1")
        _require(self.batch_size >= 3, "finetune batch_size", self.batch_size, "at least 3")
        _require(0 < self.rate < 1, "finetune rate", self.rate, "between 0 and 1")
        _require(0 <= self.weight_decay < 1, "weight_decay", self.weight_decay, "in [0, 1)")
        _require(self.decay_every >= 1, "decay_every", self.decay_every, "at least 1")
        _require(0 < self.decay <= 1, "decay", self.decay, "in (0, 1]")


@dataclass(frozen=True, kw_only=True)
class Config:
    """All constants of one run."""

    features: FeatureConfig = field(default_factory=FeatureConfig)
    heads: HeadConfig = field(default_factory=HeadConfig)
    distributions: DistributionConfig = field(default_factory=DistributionConfig)
    learning: LearningConfig = field(default_factory=LearningConfig)
    importance: ImportanceConfig = field(default_factory=ImportanceConfig)
    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Nested JSON values; `Config.from_dict` is the inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: object) -> Config:
        """Rebuild a config, refusing unknown or missing sections and fields.

        Raises:
            ConfigurationError: if `values` is not what `to_dict` makes.
        """
        sections = {section.name: section.default_factory for section in fields(cls)}
        if not isinstance(values, dict) or set(values) != set(sections):
            raise ConfigurationError(f"A config needs exactly the sections {', '.join(sections)}.")
        built: dict[str, Any] = {}
        for name, factory in sections.items():
            known = asdict(factory())  # type: ignore[operator]
            given = values[name]
            if not isinstance(given, dict) or set(given) != set(known):
                raise ConfigurationError(f"Config section {name} needs {', '.join(known)}.")
            for key, value in given.items():
                expected = type(known[key])
                fits = type(value) is expected or (expected is float and type(value) is int)
                _require(fits, f"{name}.{key}", value, f"of type {expected.__name__}")
            built[name] = type(factory())(**given)  # type: ignore[operator]
        return cls(**built)


def paper() -> Config:
    """The published constants (sections 2 to 6 of the method)."""
    return Config(
        features=FeatureConfig(image_size=448, l1_norm=0.0),
        heads=HeadConfig(
            pseudo_weight=1.0,
            holistic_pseudo=True,
            initial_scale=1.0,
            holistic_capped=False,
            residual_bottleneck=0,
            residual_channels=0,
            stored_references=5,
        ),
        learning=LearningConfig(
            rounds=1, inner_steps=20, batch_size=48, outer_rate=0.005, averaged_epochs=1
        ),
        importance=ImportanceConfig(error="paper"),
    )


def default() -> Config:
    """What measured best here, one setting for all datasets (docs/deviations.md)."""
    return Config()


def preset(name: str, *, image_size: int | None = None) -> Config:
    """Look a preset up by name, optionally with another image size.

    Raises:
        ConfigurationError: if there is no such preset or the size cannot work.
    """
    presets = {"default": default, "paper": paper}
    if name not in presets:
        raise ConfigurationError(f"There is no preset {name!r}; choose default or paper.")
    config = presets[name]()
    if image_size is not None:
        config = replace(config, features=replace(config.features, image_size=image_size))
    return config
