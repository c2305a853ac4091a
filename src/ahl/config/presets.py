"""Presets: functions that return a whole config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ahl._common.errors import ConfigurationError
from ahl.config.calibration import CalibrationConfig
from ahl.config.distributions import DistributionConfig
from ahl.config.features import FeatureConfig
from ahl.config.finetuning import FinetuneConfig
from ahl.config.heads import HeadConfig
from ahl.config.importance import ImportanceConfig
from ahl.config.learning import LearningConfig
from ahl.config.memory import MemoryConfig
from ahl.config.vectors import VectorConfig
from ahl.config.whole import Config

if TYPE_CHECKING:
    from ahl._common.types import ImageSize

PresetName = Literal["default", "paper"]


def paper() -> Config:
    """The published constants, all spelled out (docs/method.md names the sections).

    What the papers leave open is as in docs/deviations.md. Fine-tuning (stage 0) and the last
    stage of a ResNet-18 are no constants but options of a run: `--finetune --backbone resnet18
    --stages 4`.
    """
    return Config(
        features=FeatureConfig(image_size=(448, 448), batch_size=16),
        vectors=VectorConfig(components=0, l1_norm=0.0),
        distributions=DistributionConfig(
            grouping="k-means",
            clusters=3,
            smallest_cluster=3,
            virtual_seen_fraction=0.5,
            anomaly_overlap="support_in_query",
            pseudo=True,
            twin_fraction=0.5,
            episodes=0,
        ),
        memory=MemoryConfig(patches=0),
        heads=HeadConfig(
            top_fraction=0.1,
            margin=5.0,
            prior_draws=5000,
            holistic_hidden=256,
            pseudo_weight=1.0,
            holistic_pseudo=True,
            initial_scale=1.0,
            holistic_capped=False,
            residual_bottleneck=0,
            residual_channels=0,
            reference_normals=5,
            stored_references=5,
            norm_momentum=0.1,
        ),
        learning=LearningConfig(
            epochs=30,
            rounds=1,
            inner_steps=20,
            query_batches=1,
            batch_size=48,
            inner_rate=2e-4,
            outer_rate=0.005,
            averaged_epochs=1,
            collaborative=True,
            second_order=False,
        ),
        importance=ImportanceConfig(
            source="psi",
            history=5,
            first_epoch=5,
            hidden=7,
            rate=0.02,
            steps=10,
            batch_size=256,
            error="paper",
            unseen_weight=1.0,
            seen_weight=0.5,
        ),
        calibration=CalibrationConfig(folds=0),
        finetune=FinetuneConfig(
            epochs=30,
            steps=20,
            batch_size=48,
            rate=2e-4,
            weight_decay=1e-5,
            decay_every=10,
            decay=0.1,
        ),
    )


def default() -> Config:
    """What measured best here, one setting for all datasets (docs/deviations.md)."""
    return Config()


def preset(
    name: str, *, image_size: int | ImageSize | str | None = None, tiles: int | None = None
) -> Config:
    """Look a preset up by name, optionally with another image size and tiles (None keeps its own).

    Raises:
        ConfigurationError: if there is no such preset or the size cannot work.
    """
    presets = {"default": default, "paper": paper}
    if name not in presets:
        raise ConfigurationError(f"There is no preset {name!r}; choose default or paper.")
    return presets[name]().with_image_size(image_size, tiles)
