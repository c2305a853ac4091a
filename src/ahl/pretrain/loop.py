"""The pretraining loop: filters by k-means, refined in steps that a killed run goes on from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ahl.backbones.embedded import VERSION as ARCHITECTURE_VERSION
from ahl.backbones.embedded import EmbeddedBackbone
from ahl.errors import ConfigurationError
from ahl.features.extractor import as_tensor
from ahl.pretrain.batches import Batch, batches
from ahl.pretrain.cells import cell_labels
from ahl.pretrain.config import PretrainConfig
from ahl.pretrain.filters import learn_backbone, set_scale
from ahl.pretrain.shards import VERSION, DrawnGroups
from ahl.pretrain.terms import few_shot_loss, prototype_loss, ranking_loss
from ahl.randomness import numpy_generator
from ahl.resuming import read_checkpoint, run_fingerprint, write_checkpoint
from ahl.tensor_file import Groups

LEARNED_FROM: Final = 300
"""Pictures that are enough to learn filters from."""

KEEP_EVERY: Final = 25
"""Steps between two states on disk."""

CELL: Final = 16
"""Side in pixels of the cells that the terms see: drawn pictures are small."""

STEEPEST: Final = 1.0
"""Norm that gradients of the backbone are clipped to."""

Report = Callable[[int, Mapping[str, float]], None]
"""Called after every step with its number, from 1, and the terms' values."""


@dataclass(frozen=True, eq=False)
class PretrainingState:
    """What a killed run goes on from.

    Attributes:
        done: steps.
        groups: tensors of the backbone and of the optimiser.
    """

    done: int
    groups: Groups


class Pretraining:
    """A run in progress.

    Args:
        config: its constants.
        drawn: the groups it trains on.
        seed: of filters, order and turns.
        state: of `read_state`, to go on from; None begins.
    """

    def __init__(
        self,
        config: PretrainConfig,
        drawn: DrawnGroups,
        seed: int,
        state: PretrainingState | None = None,
    ) -> None:
        self.config, self.drawn, self.seed = config, drawn, seed
        self.examples = self._examples()
        self.backbone = (
            learn_backbone(self.examples, seed=seed) if state is None else EmbeddedBackbone()
        )
        # No weight decay: the filters' sizes were learned too.
        self.optimiser = torch.optim.AdamW(
            self.backbone.parameters(), lr=config.rate, weight_decay=0.0
        )
        self.done = 0
        if state is not None:
            self._restore(state)

    def run(self, report: Report, checkpoint: Path | None = None) -> None:
        """Train to the last step.

        Args:
            report: hears of every step.
            checkpoint: file for the state; None keeps none.

        Raises:
            ConfigurationError: if the training runs away.
        """
        size, seed = self.config.groups, self.seed
        self.backbone.train()
        for step, batch in batches(self.drawn, self.done, self.config.steps, size=size, seed=seed):
            report(step + 1, self.step(batch, step))
            self.done = step + 1
            due = self.done % KEEP_EVERY == 0 or self.done == self.config.steps
            if checkpoint is not None and due:
                self._keep(checkpoint)
        self.backbone.eval()
        set_scale(self.backbone, as_tensor(self.examples, torch.device("cpu")))

    def step(self, batch: Batch, step: int) -> dict[str, float]:
        """One step of the optimiser; the terms' values.

        Raises:
            ConfigurationError: if the loss is not finite.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = rate_at(step, self.config)
        weights = asdict(self.config)
        try:
            terms = self.terms(batch)
            loss = torch.stack([weights[name] * value for name, value in terms.items()]).sum()
        except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
            loss = torch.tensor(torch.nan)  # a regression on features that are not finite
        if not loss.isfinite():
            raise ConfigurationError(
                f"The training ran away in step {step + 1}: its loss is not finite. Use a lower "
                "--rate; the state of before is kept."
            )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.backbone.parameters(), STEEPEST)
        self.optimiser.step()
        return {name: float(value.detach()) for name, value in terms.items()}

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """Every term with a weight, on the features of small cells."""
        config, backbone = self.config, self.backbone
        groups, pictures = batch.pictures.shape[:2]
        images = batch.pictures.flatten(0, 1).float() / 255
        maps = backbone.cells(images, CELL)
        maps = maps.view(groups, pictures, *maps.shape[1:])
        labels = cell_labels(batch.masks.flatten(0, 1), maps.shape[-1])
        labels = labels.view(groups, pictures, *labels.shape[1:])
        terms = {}
        if config.ranking:
            terms["ranking"] = ranking_loss(maps, labels)
        if config.few_shot:
            terms["few_shot"] = few_shot_loss(maps, labels)
        if config.prototypes:
            terms["prototypes"] = prototype_loss(maps.mean(dim=(-2, -1)))
        return terms

    def _examples(self) -> NDArray[np.uint8]:
        """A good picture of some groups: what filters and scales are learned from."""
        random = numpy_generator(self.seed, "filters", "pictures")
        groups = np.sort(random.permutation(len(self.drawn))[:LEARNED_FROM])
        return np.stack([self.drawn[int(group)][0][0] for group in groups])

    def _keep(self, path: Path) -> None:
        moments = self.optimiser.state_dict()["state"]
        groups = {
            "backbone": self.backbone.tensors(),
            **{f"moments-{i}": dict(state) for i, state in moments.items()},
        }
        identity = pretraining_identity(self.config, self.seed)
        write_checkpoint(path, identity, {"done": self.done}, groups)

    def _restore(self, kept: PretrainingState) -> None:
        groups = kept.groups
        self.backbone.load_state_dict(groups["backbone"])
        state = self.optimiser.state_dict()
        state["state"] = {
            int(name.removeprefix("moments-")): group
            for name, group in groups.items()
            if name.startswith("moments-")
        }
        self.optimiser.load_state_dict(state)
        self.done = kept.done


def pretraining_identity(config: PretrainConfig, seed: int) -> str:
    """What a state must be of: constants, seed, and the versions of drawing and architecture."""
    versions = {"drawn": VERSION, "backbone": ARCHITECTURE_VERSION}
    return run_fingerprint({"pretrain": asdict(config), "seed": seed, **versions})


def read_state(path: Path, config: PretrainConfig, seed: int) -> PretrainingState | None:
    """The state of a killed run; None where there is none.

    Raises:
        ResumeError: if it is of another run or cannot be read.
    """
    found = read_checkpoint(path, pretraining_identity(config, seed))
    return None if found is None else PretrainingState(int(found[0]["done"]), found[1])


def rate_at(step: int, config: PretrainConfig) -> float:
    """Learning rate of a step: a linear rise, then a cosine down to 0."""
    progress = (step + 0.5) / config.steps
    if progress < config.warmup:
        return config.rate * progress / config.warmup
    fall = (progress - config.warmup) / (1 - config.warmup)
    return config.rate * 0.5 * (1 + math.cos(math.pi * fall))
