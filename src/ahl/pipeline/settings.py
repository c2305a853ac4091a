"""The settings of a run: those that determine what is learnt, and all others."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from ahl._common.callbacks import Broadcast, Callback, PatientCallback, PrintingCallback
from ahl._common.devices import resolve_device
from ahl._common.errors import ConfigurationError
from ahl._common.types import ImageSize
from ahl._common.version import __version__
from ahl.config import Config, preset
from ahl.distributions.augment import default_generators
from ahl.distributions.augment.base import PseudoAnomalyGenerator
from ahl.features.backbones import Backbone
from ahl.features.backbones.choice import BackboneChoice
from ahl.heads import BaseDetector, find_detector


@dataclass(frozen=True, kw_only=True)
class Learner:
    """Settings that determine what is learnt from given data.

    Attributes:
        heads: the base detector's class.
        backbone: the backbone.
        generators: generators of the pseudo anomalies.
        config: all constants.
        seed: seed of every draw.
        finetune: True to train the backbone end to end first (stage 0 of the paper).
    """

    heads: type[BaseDetector]
    backbone: BackboneChoice
    generators: tuple[PseudoAnomalyGenerator, ...]
    config: Config
    seed: int
    finetune: bool

    @classmethod
    def of(
        cls,
        *,
        heads: str | type[BaseDetector],
        backbone: str | Backbone,
        weights: str | Path | None,
        backbone_arguments: Mapping[str, Any] | None,
        stages: Sequence[int] | None,
        generators: Sequence[PseudoAnomalyGenerator] | None,
        preset_name: str,
        config: Config | None,
        image_size: int | ImageSize | str | None,
        tiles: int | None,
        seed: int,
        episodes: bool | None,
        finetune: bool,
    ) -> Self:
        """Resolve and check the parameters of `ahl.AHL`.

        Raises:
            ConfigurationError: if a parameter has an invalid value.
        """
        try:
            number = -1 if isinstance(seed, bool) else operator.index(seed)
        except TypeError:  # no integer
            number = -1
        if not 0 <= number < 2**32:
            raise ConfigurationError(f"seed is {seed!r}; expected an integer, 0 to 2**32 - 1.")
        if not isinstance(config, Config | None):
            raise ConfigurationError(f"config is {config!r}; expected an ahl.Config or None.")
        if not isinstance(backbone_arguments, Mapping | None):
            raise ConfigurationError(
                f"backbone_arguments is {backbone_arguments!r}; expected a mapping or None."
            )
        if not isinstance(stages, Iterable | None):
            raise ConfigurationError(f"stages is {stages!r}; expected numbers or None.")
        generators = default_generators() if generators is None else generators
        if not all(isinstance(one, PseudoAnomalyGenerator) for one in generators):
            raise ConfigurationError(
                f"generators is {generators!r}; expected instances of ahl.PseudoAnomalyGenerator."
            )
        if config is not None and preset_name != "default":
            raise ConfigurationError("preset and config are both given; expected one of them.")
        if not isinstance(episodes, bool | np.bool_ | None):
            raise ConfigurationError(f"episodes is {episodes!r}; expected True, False or None.")
        config = preset(preset_name) if config is None else config
        if episodes is not None:
            config = replace(config, learning=replace(config.learning, episodes=bool(episodes)))
        return cls(
            heads=find_detector(heads),
            backbone=BackboneChoice(
                backbone=backbone,
                weights=None if weights is None else Path(weights),
                arguments=dict(backbone_arguments or {}),
                stages=None if stages is None else tuple(stages),
            ),
            generators=tuple(generators),
            config=config.with_image_size(image_size, tiles),
            seed=number,
            finetune=finetune,
        )

    def facts(self, run: RunSettings) -> dict[str, Any]:
        """Facts that identify a run, except its data, as JSON values."""
        return {
            "ahl": __version__,
            "heads": self.heads.name,
            "backbone": self.backbone.facts(),
            "finetune": self.finetune,
            "seed": self.seed,
            "device": run.torch_device.type,
            "resume": run.resume,
            "config": self.config.to_dict(),
        }


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Device, files and callback of a run, which do not change what is learnt.

    Attributes:
        device: `"auto"`, `"cpu"` or `"cuda"`.
        cache: folder of cached features; `"auto"` for the user's cache folder, None to keep them
            for the run only.
        checkpoint: file of the state after every epoch; None for none.
        resume: True to continue from the checkpoint if there is one.
        strict: True to raise on an unreadable image instead of skipping it.
        callback: receives progress, skipped images and notes.

    Raises:
        ConfigurationError: if `callback` is not an `ahl.Callback`.

    Examples:
        >>> from ahl import AHL, RunSettings
        >>> detector = AHL(run=RunSettings(device="cpu", checkpoint="run.checkpoint", resume=True))
    """

    device: str = "auto"
    cache: str | Path | None = "auto"
    checkpoint: str | Path | None = None
    resume: bool = False
    strict: bool = False
    callback: Callback = field(default_factory=Callback)

    def __post_init__(self) -> None:
        if not isinstance(self.callback, Callback):
            raise ConfigurationError(f"callback is {self.callback!r}; expected an ahl.Callback.")

    @property
    def checkpoint_file(self) -> Path | None:
        """The checkpoint's path."""
        return None if self.checkpoint is None else Path(self.checkpoint)

    @property
    def torch_device(self) -> torch.device:
        """The torch device; raises ConfigurationError if it is not available."""
        return resolve_device(self.device)

    def __deepcopy__(self, memo: dict[int, Any]) -> RunSettings:
        """Return the object itself: it is immutable, and a callback may hold an open file."""
        return self


def checked_run(run: RunSettings | None, verbose: int | None) -> RunSettings:
    """The settings of a run (None for the defaults), with a callback that prints by `verbose`.

    For `verbose=None`, a long run prints its progress, unless `run` has a callback of the user's.

    Raises:
        ConfigurationError: if `run` is not a `RunSettings`.
    """
    run = RunSettings() if run is None else run
    if not isinstance(run, RunSettings):
        raise ConfigurationError(f"run is {run!r}; expected an ahl.RunSettings.")
    if verbose is None:
        own = type(run.callback) is not Callback or vars(run.callback)
        return run if own else replace(run, callback=PatientCallback())
    if not verbose:
        return run
    return replace(run, callback=Broadcast(run.callback, {"verbose": PrintingCallback()}))
