"""The pretraining loop: a network, heads to train it by, a state that a killed run goes on from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ahl.backbones.embedded import untrained_backbone
from ahl.backbones.pretrained import TimmBackbone
from ahl.errors import ConfigurationError
from ahl.pretrain.batches import Batch, batches
from ahl.pretrain.cells import cell_labels
from ahl.pretrain.config import PretrainConfig
from ahl.pretrain.description import LEARNED_FROM, Describer
from ahl.pretrain.renorm import renormalise
from ahl.pretrain.shards import VERSION, DrawnGroups
from ahl.pretrain.terms import (
    classification_loss,
    few_shot_loss,
    prototype_loss,
    ranking_loss,
    regression_loss,
)
from ahl.randomness import derive_seed, numpy_generator
from ahl.resuming import read_checkpoint, run_fingerprint, write_checkpoint
from ahl.synthetic import CLASSES
from ahl.synthetic.groups import NORMALS, PICTURES

EMBEDDING: Final = 128
"""Dimensions in which groups are told apart."""

KEEP_EVERY: Final = 100
"""Steps between two states on disk."""

FINEST: Final = 8
"""Cells along a side of the finest grid that terms are taken on; finer maps are averaged."""

SETTLING: Final = 0.1
"""Share of the steps in which normalisation goes over to the running statistics."""

DESCRIBED: Final = (0, NORMALS, PICTURES - 1)
"""Pictures of a group that the regression term is taken on, because describing takes time: a good
one and one of each kind of defect."""

STEEPEST: Final = 5.0
"""Norm that gradients of the backbone are clipped to."""

Report = Callable[[int, Mapping[str, float]], None]
"""Called after every step with its number, from 1, and the terms' values."""


class _Heads(nn.Module):
    """What is thrown away after the training."""

    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        self.classification = nn.ModuleList(nn.Conv2d(c, 1 + CLASSES, 1) for c in channels)
        self.embedding = nn.Linear(sum(channels), EMBEDDING)


class Pretraining:
    """A run in progress.

    Args:
        config: its constants.
        drawn: the groups it trains on.
        seed: of weights, order and turns.
    """

    def __init__(self, config: PretrainConfig, drawn: DrawnGroups, seed: int) -> None:
        self.config, self.drawn, self.seed = config, drawn, seed
        self.backbone: TimmBackbone = untrained_backbone(initial_weights_seed(seed))
        self.norms = renormalise(self.backbone.network)
        with torch.no_grad():
            probe = self.backbone.network(torch.zeros(1, 3, config.size, config.size))
        channels = [stage.shape[1] for stage in probe]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "heads"))
            self.heads = _Heads(channels)
        self.describer = self._learn_describer() if config.regression else None
        trained: list[nn.Parameter] = [*self.backbone.parameters(), *self.heads.parameters()]
        parts: list[dict[str, Any]] = [
            {"params": [p for p in trained if p.ndim > 1]},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(
            parts,
            lr=config.rate,
            weight_decay=config.weight_decay,
        )
        self.done = 0

    def run(self, report: Report, checkpoint: Path | None = None, *, resume: bool = False) -> None:
        """Train to the last step.

        Args:
            report: hears of every step.
            checkpoint: file for the state; None keeps none.
            resume: go on from it where there is one.

        Raises:
            ResumeError: if the state is of another run.
            ConfigurationError: if the training runs away.
        """
        fingerprint = pretraining_identity(self.config, self.seed)
        if checkpoint is not None and resume:
            self._restore(checkpoint, fingerprint)
        size, seed = self.config.groups, self.seed
        self.backbone.train()
        for step, batch in batches(self.drawn, self.done, self.config.steps, size=size, seed=seed):
            report(step + 1, self.step(batch, step))
            self.done = step + 1
            due = self.done % KEEP_EVERY == 0 or self.done == self.config.steps
            if checkpoint is not None and due:
                self._keep(checkpoint, fingerprint)
        self.backbone.eval()

    def step(self, batch: Batch, step: int) -> dict[str, float]:
        """One step of the optimiser; the terms' values."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate_at(step, self.config)
        for norm in self.norms:
            norm.freedom = min(1.0, step / (SETTLING * self.config.steps))
        terms = self.terms(batch)
        weights = asdict(self.config)
        loss = torch.stack([weights[name] * value for name, value in terms.items()]).sum()
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
        """Every term with a weight, the mean over the stages."""
        config = self.config
        groups, pictures = batch.pictures.shape[:2]
        images = batch.pictures.flatten(0, 1).float() / 255
        normalised = (images - self.backbone.shift) / self.backbone.scale
        # Half the time of float32 on processors that know bfloat16; terms are taken in float32.
        with torch.autocast(images.device.type, torch.bfloat16):
            stages = self.backbone.network(normalised.contiguous(memory_format=torch.channels_last))
        stages = [_at_most(stage.float(), FINEST) for stage in stages]
        masks = batch.masks.flatten(0, 1)
        found: dict[str, list[Tensor]] = {"classification": [], "ranking": [], "few_shot": []}
        for head, stage in zip(self.heads.classification, stages, strict=True):
            labels = cell_labels(masks, stage.shape[-1]).view(groups, pictures, *stage.shape[2:])
            maps = stage.view(groups, pictures, *stage.shape[1:])
            if config.classification:
                logits = head(stage).view(groups, pictures, -1, *stage.shape[2:])
                found["classification"].append(classification_loss(logits, labels))
            if config.ranking:
                found["ranking"].append(ranking_loss(maps, labels))
            if config.few_shot:
                found["few_shot"].append(few_shot_loss(maps, labels))
        terms = {name: torch.stack(values).mean() for name, values in found.items() if values}
        if self.describer is not None:
            terms["regression"] = self._describing(images, stages, pictures)
        if config.prototypes:
            pooled = torch.cat([stage.mean(dim=(-2, -1)) for stage in stages], dim=1)
            embeddings: Tensor = self.heads.embedding(pooled)
            terms["prototypes"] = prototype_loss(embeddings.view(groups, pictures, -1))
        return terms

    def _describing(self, images: Tensor, stages: list[Tensor], pictures: int) -> Tensor:
        """The regression term on some pictures of every group."""
        chosen = (torch.arange(len(images)) % pictures)[:, None] == torch.tensor(DESCRIBED)
        some = chosen.any(dim=1)
        assert self.describer is not None
        with torch.no_grad():
            described = self.describer(images[some])
        losses = [regression_loss(stage[some], described) for stage in stages]
        return torch.stack(losses).mean()

    def _learn_describer(self) -> Describer:
        random = numpy_generator(self.seed, "describer", "pictures")
        groups = np.sort(random.permutation(len(self.drawn))[:LEARNED_FROM])
        pictures = np.stack([self.drawn[int(group)][0][0] for group in groups])
        return Describer.learn(pictures, seed=self.seed)

    def _keep(self, path: Path, fingerprint: str) -> None:
        moments = self.optimiser.state_dict()["state"]
        groups = {
            "backbone": self.backbone.tensors(),
            "heads": dict(self.heads.state_dict()),
            **{f"moments-{i}": dict(state) for i, state in moments.items()},
        }
        write_checkpoint(path, fingerprint, {"done": self.done}, groups)

    def _restore(self, path: Path, fingerprint: str) -> None:
        found = read_checkpoint(path, fingerprint)
        if found is None:
            return
        header, groups = found
        self.backbone.load_state_dict(groups["backbone"])
        self.heads.load_state_dict(groups["heads"])
        state = self.optimiser.state_dict()
        state["state"] = {
            int(name.removeprefix("moments-")): group
            for name, group in groups.items()
            if name.startswith("moments-")
        }
        self.optimiser.load_state_dict(state)
        self.done = int(header["done"])


def _at_most(maps: Tensor, side: int) -> Tensor:
    return functional.adaptive_avg_pool2d(maps, side) if maps.shape[-1] > side else maps


def initial_weights_seed(seed: int) -> int:
    """Seed of the untrained weights of a run."""
    return derive_seed(seed, "weights")


def pretraining_identity(config: PretrainConfig, seed: int) -> str:
    """What a state must be of to be gone on with: constants, seed, and the drawing's version."""
    return run_fingerprint({"pretrain": asdict(config), "seed": seed, "drawn": VERSION})


def rate_at(step: int, config: PretrainConfig) -> float:
    """Learning rate of a step: a linear rise, then a cosine down to 0."""
    progress = (step + 0.5) / config.steps
    if progress < config.warmup:
        return config.rate * progress / config.warmup
    fall = (progress - config.warmup) / (1 - config.warmup)
    return config.rate * 0.5 * (1 + math.cos(math.pi * fall))
