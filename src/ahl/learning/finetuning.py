"""Stage 0: fine-tuning of the backbone under the base detector's loss (AHL, section 4.1)."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ahl._common.callbacks import Callback
from ahl._common.distributed import process_count, process_group, process_rank
from ahl._common.errors import ConfigurationError
from ahl._common.randomness import derive_seed, torch_generator
from ahl._common.tensor_file import (
    read_checkpoint,
    resuming,
    run_fingerprint,
    tensors_like,
    write_checkpoint,
)
from ahl.config import Config
from ahl.features.backbones import Backbone
from ahl.features.extractor import as_tensor, two_scales
from ahl.features.maps import FeatureLayout
from ahl.heads import BaseDetector, Parameters, Statistics
from ahl.heads.losses import draw_prior
from ahl.learning.finetuning_batches import FinetuningImages, draw_images

STAGE = "fine-tuning the backbone"


def finetune_backbone(
    backbone: Backbone,
    detector_type: type[BaseDetector],
    images: FinetuningImages,
    config: Config,
    *,
    seed: int,
    device: torch.device,
    callback: Callback,
    checkpoint: Path | None,
    resume: bool,
) -> Backbone:
    """Train a copy of the backbone together with heads, which are then discarded.

    Each of several processes takes its part of every batch: loss and batch norm are per part,
    gradients are averaged. The first process writes the checkpoint, to a disk that all can read.

    Args:
        backbone: the backbone to start from; not modified.
        detector_type: the base detector whose heads and loss are used.
        images: the training images.
        config: all constants; `config.finetune` is this stage's section.
        seed: seed of every draw.
        device: device to train on.
        callback: receives every step.
        checkpoint: file of the state after every epoch; None for none.
        resume: True to continue from the checkpoint if there is one.

    Returns:
        the fine-tuned backbone, in evaluation mode.

    Raises:
        ConfigurationError: if the backbone has nothing to train, or batches are too small for the
            number of processes.
        ImageError: if no training image can be decoded any more.
        ProcessError: if another process has ended.
        ResumeError: if the checkpoint is of another run.
    """
    settings, references = config.finetune, config.heads.reference_normals
    rank, count = process_rank(), process_count()
    if 3 * count > settings.batch_size:
        raise ConfigurationError(
            f"{count} processes cannot share batches of {settings.batch_size} images; expected 3 "
            "images or more for each: start fewer, or raise finetune.batch_size."
        )
    with process_group(device), ThreadPoolExecutor(max_workers=2) as pool:
        run = _Finetuning(backbone, detector_type, config, seed, device)
        fingerprint = _fingerprint(backbone, detector_type, images, config, seed)
        first = run.restore(checkpoint, fingerprint) if checkpoint is not None and resume else 0
        if first:
            callback.on_note(f"Resuming the fine-tuning after epoch {first}.")
        total = settings.epochs * settings.steps
        callback.on_stage(STAGE, first * settings.steps, total)
        for epoch in range(first, settings.epochs):
            rate = settings.rate * settings.decay ** (epoch // settings.decay_every)
            for step in range(settings.steps):
                loaders, kinds = draw_images(
                    images, config, derive_seed(seed, "finetune", epoch, step)
                )
                own = [*loaders[:references], *loaders[references + rank :: count]]
                pixels = np.stack(list(pool.map(lambda load: load(), own)))
                run.step(pixels, kinds[rank::count], rate)
                callback.on_stage(STAGE, epoch * settings.steps + step + 1, total)
            if checkpoint is not None and rank == 0:
                run.save(checkpoint, fingerprint, epoch + 1)
    return run.backbone.eval()


class _BatchLoss(nn.Module):
    """Loss of a batch of images, as a module for DistributedDataParallel."""

    def __init__(
        self,
        backbone: Backbone,
        detector: BaseDetector,
        heads: Parameters,
        references: int,
        tiles: int,
    ) -> None:
        super().__init__()
        self.backbone, self.detector = backbone, detector
        self.names, self.values = list(heads), nn.ParameterList(heads.values())
        self.references, self.tiles = references, tiles

    def forward(
        self, images: Tensor, kinds: Tensor, statistics: Statistics
    ) -> tuple[Tensor, Statistics]:
        """Loss and new statistics of a batch of references and N images with kinds (N,)."""
        count = self.references
        maps = two_scales(self.backbone, images, self.tiles)
        scores, statistics = self.detector.forward(
            dict(zip(self.names, self.values, strict=True)),
            statistics,
            tuple(scale[count:] for scale in maps),
            tuple(scale[:count].mean(dim=0) for scale in maps),
            training=True,
        )
        return self.detector.loss(scores, kinds), statistics


class _Finetuning:
    """Backbone, heads and optimiser of the stage."""

    def __init__(
        self,
        backbone: Backbone,
        detector_type: type[BaseDetector],
        config: Config,
        seed: int,
        device: torch.device,
    ) -> None:
        self.device = device
        self.backbone = copy.deepcopy(backbone).to(device).train()
        trainable = [p for p in self.backbone.parameters() if p.requires_grad]
        if not trainable:
            raise ConfigurationError(f"A {backbone.kind} backbone has no weights to fine-tune.")
        with torch.no_grad():
            probe = torch.zeros(1, 3, *config.features.size, device=device)
            layout = FeatureLayout.of(
                two_scales(self.backbone.eval(), probe, config.features.tiles)
            )
        self.backbone.train()
        prior = draw_prior(config.heads.prior_draws, torch_generator(seed, "prior"))
        detector = detector_type(config.position_heads, layout, prior)
        self.heads: Parameters = {
            name: nn.Parameter(value.to(device))
            for name, value in detector.initial_parameters(
                torch_generator(seed, "finetune heads")
            ).items()
        }
        self.statistics: Statistics = {
            name: value.to(device) for name, value in detector.initial_statistics().items()
        }
        self.loss: nn.Module = _BatchLoss(
            self.backbone,
            detector,
            self.heads,
            config.heads.reference_normals,
            config.features.tiles,
        )
        if process_count() > 1:
            self.loss = DistributedDataParallel(self.loss, find_unused_parameters=True)
        self.optimiser = torch.optim.Adam(
            [*trainable, *self.heads.values()],
            lr=config.finetune.rate,
            weight_decay=config.finetune.weight_decay,
        )

    def step(self, pixels: NDArray[np.uint8], kinds: Tensor, rate: float) -> None:
        """Take one step of Adam on a batch.

        Args:
            pixels: the references, then this process's part of the batch, (n, H, W, 3).
            kinds: kinds (N,) of that part.
            rate: learning rate.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        loss, self.statistics = self.loss(
            as_tensor(pixels, self.device), kinds.to(self.device), self.statistics
        )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()

    def save(self, path: Path, fingerprint: str, epoch: int) -> None:
        """Write the state after an epoch."""
        moments = self.optimiser.state_dict()["state"]
        groups = {
            "backbone": self.backbone.tensors(),
            "heads": self.heads,
            "statistics": self.statistics,
            "adam": {f"{i}/{k}": v for i, own in moments.items() for k, v in own.items()},
        }
        write_checkpoint(path, fingerprint, {"epoch": epoch}, groups)

    def restore(self, path: Path, fingerprint: str) -> int:
        """Restore the state; return the number of epochs done, 0 without a checkpoint."""
        found = read_checkpoint(path, fingerprint)
        if found is None:
            return 0
        header, groups = found
        state: dict[int, dict[str, Tensor]] = {}
        with resuming(path), torch.no_grad():
            for name, tensor in groups["adam"].items():
                index, _, moment = name.partition("/")
                state.setdefault(int(index), {})[moment] = tensor
            self.backbone.load_state_dict(groups["backbone"])
            for name, value in tensors_like(groups, "heads", self.heads).items():
                self.heads[name].copy_(value)
            kept = tensors_like(groups, "statistics", self.statistics)
            self.statistics = {name: value.to(self.device) for name, value in kept.items()}
            self.optimiser.load_state_dict(
                {"state": state, "param_groups": self.optimiser.state_dict()["param_groups"]}
            )
            return int(header["epoch"])


def _fingerprint(
    backbone: Backbone,
    detector_type: type[BaseDetector],
    images: FinetuningImages,
    config: Config,
    seed: int,
) -> str:
    values = {
        "base": detector_type.name,
        "backbone": backbone.describe().fingerprint,
        "heads": asdict(config.heads),
        "finetune": asdict(config.finetune),
        "image_size": list(config.features.size),
        "tiles": config.features.tiles,
        "images": [[item.key for item in own] for own in (images.normals, images.anomalies)],
        "generators": [generator.settings() for generator in images.generators],
        "seed": seed,
    }
    return run_fingerprint(values)
