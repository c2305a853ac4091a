"""All constants of one run, and their way to JSON values and back."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final

from ahl._common.errors import ConfigurationError
from ahl.config._checks import require
from ahl.config.calibration import CalibrationConfig
from ahl.config.distributions import DistributionConfig
from ahl.config.features import FeatureConfig
from ahl.config.finetuning import FinetuneConfig
from ahl.config.heads import HeadConfig
from ahl.config.image_size import read_size
from ahl.config.importance import ImportanceConfig
from ahl.config.learning import LearningConfig
from ahl.config.memory import MemoryConfig
from ahl.config.vectors import VectorConfig

if TYPE_CHECKING:
    from ahl._common.types import ImageSize

OLDER: Final[dict[str, dict[str, Any]]] = {"features": {"minutes": 10.0, "tiles": 0}}
"""Fields by section that files of earlier versions lack, and what stands for them there."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """All constants of one run."""

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
        """The same with another image size, as `read_size` takes it, and other tiles.

        None keeps this one's. Tiles without a size make a size of whole images auto.

        Raises:
            ConfigurationError: if they cannot work.
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
        """The heads' constants with `top_fraction` of a tile's positions, taken over all tiles."""
        fraction = self.heads.top_fraction * self.features.tile_share
        return replace(self.heads, top_fraction=fraction)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Nested JSON values; `Config.from_dict` is the inverse."""
        values = asdict(self)
        size = self.features.image_size
        values["features"]["image_size"] = None if size is None else list(size)
        return values

    @classmethod
    def from_dict(cls, values: object) -> Config:
        """Rebuild a config, refusing unknown or missing sections and fields.

        In files of earlier versions, one number as the image size is the side of a square.

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
            if isinstance(given, dict):
                given = OLDER.get(name, {}) | given
            if not isinstance(given, dict) or set(given) != set(known):
                raise ConfigurationError(f"Config section {name} needs {', '.join(known)}.")
            if name == "features":
                given["image_size"] = known["image_size"] = read_size(given["image_size"])
            for key, value in given.items():
                expected = type(known[key])
                fits = type(value) is expected or (expected is float and type(value) is int)
                require(fits, f"{name}.{key}", value, f"of type {expected.__name__}")
            typed = {k: float(v) if type(known[k]) is float else v for k, v in given.items()}
            built[name] = type(factory())(**typed)  # type: ignore[operator]
        return cls(**built)
