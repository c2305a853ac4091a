"""All constants of a run, and the presets that set them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from ahl._common.errors import ConfigurationError
from ahl.config.image_size import FeatureConfig, read_size
from ahl.config.sections import (
    CalibrationConfig,
    DistributionConfig,
    FinetuneConfig,
    HeadConfig,
    ImportanceConfig,
    LearningConfig,
    MemoryConfig,
    VectorConfig,
)

if TYPE_CHECKING:
    from ahl._common.types import ImageSize


@dataclass(frozen=True, kw_only=True)
class Config:
    """All constants of a run, in sections."""

    features: FeatureConfig = field(default_factory=FeatureConfig)
    vectors: VectorConfig = field(default_factory=VectorConfig)
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    heads: HeadConfig = field(default_factory=HeadConfig)
    distributions: DistributionConfig = field(default_factory=DistributionConfig)
    learning: LearningConfig = field(default_factory=LearningConfig)
    importance: ImportanceConfig = field(default_factory=ImportanceConfig)
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)

    def with_image_size(
        self, image_size: int | ImageSize | str | None, tiles: int | None = None
    ) -> Config:
        """Return a copy with another image size, in a notation of `read_size`, and other tiles.

        None keeps the present value. Tiles without a size make the size of whole images auto.

        Raises:
            ConfigurationError: if the size or the tiles are invalid.
        """
        features = self.features
        if tiles is not None:
            size = features.image_size if features.tiles or not tiles else None
            features = replace(features, tiles=tiles, image_size=size)
        if image_size is not None:
            features = replace(features, image_size=read_size(image_size))
        return replace(self, features=features)

    @property
    def position_heads(self) -> HeadConfig:
        """The heads' constants, whose `top_fraction` counts the positions of one tile only."""
        fraction = self.heads.top_fraction * self.features.tile_share
        return replace(self.heads, top_fraction=fraction)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Nested JSON values; `Config.from_dict` is the inverse."""
        values: dict[str, dict[str, Any]] = asdict(self)
        size = self.features.image_size
        values["features"]["image_size"] = None if size is None else list(size)
        if self.features.bit_depth == FeatureConfig.bit_depth:
            del values["features"]["bit_depth"]  # earlier runs keep their identities
        return values

    @classmethod
    def from_dict(cls, values: object) -> Config:
        """Rebuild a config from the values of `to_dict`.

        Raises:
            ConfigurationError: if sections or fields are unknown, missing or invalid.
        """
        known = cls().to_dict()
        if isinstance(values, dict) and isinstance(values.get("features"), dict):
            known["features"] |= {name: None for name in values["features"] if name == "bit_depth"}
        if not isinstance(values, dict) or set(values) != set(known):
            raise ConfigurationError(f"A config needs exactly the sections {', '.join(known)}.")
        for name, names in known.items():
            if not isinstance(values[name], dict) or set(values[name]) != set(names):
                raise ConfigurationError(f"Config section {name} needs {', '.join(names)}.")
        sections = {one.name: type(getattr(cls(), one.name)) for one in fields(cls)}
        return cls(**{name: section(**values[name]) for name, section in sections.items()})


def paper() -> Config:
    """The published constants (docs/method.md names the sections).

    For what the papers leave open, see docs/deviations.md. Fine-tuning (stage 0) and the last stage
    of a ResNet-18 are options of a run: `--finetune --backbone resnet18 --stages 4`.
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
            max_episodes=0,
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
            episodes=True,
            second_order=False,
        ),
        importance=ImportanceConfig(
            source="psi",
            history=5,
            first_epoch=4,
            hidden=7,
            rate=0.02,
            steps=10,
            batch_size=256,
            error="calibrated",
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
    """The constants that measured best here, the same for all datasets (docs/deviations.md)."""
    return Config()


def preset(
    name: str, *, image_size: int | ImageSize | str | None = None, tiles: int | None = None
) -> Config:
    """Look up a preset by name, optionally with another image size and tiles.

    Raises:
        ConfigurationError: if there is no such preset, or the size or the tiles are invalid.

    Examples:
        >>> from ahl import preset
        >>> preset("paper", image_size=320).features.image_size
        (320, 320)
    """
    presets = {"default": default, "paper": paper}
    if name not in presets:
        raise ConfigurationError(f"preset is {name!r}; expected default or paper.")
    return presets[name]().with_image_size(image_size, tiles)
