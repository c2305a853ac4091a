"""Stage 0: the backbone trained end to end under the base detector's loss (AHL, section 4.1)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ahl.augment.base import PseudoAnomalyGenerator
from ahl.backbones import Backbone
from ahl.config import Config
from ahl.detectors import BaseDetector, Parameters, Statistics
from ahl.detectors.losses import draw_prior
from ahl.distributions.training_set import balanced_counts
from ahl.errors import ConfigurationError
from ahl.feature_maps import FeatureLayout
from ahl.features.extractor import as_tensor, two_scales
from ahl.observer import Observer
from ahl.randomness import derive_seed, numpy_generator, torch_generator
from ahl.resuming import read_checkpoint, run_fingerprint, write_checkpoint
from ahl.types import ImageItem, Kind, Pixels

STAGE = "fine-tuning the backbone"


@dataclass(frozen=True, kw_only=True)
class FinetuningImages:
    """What the stage trains on.

    Attributes:
        normals: training normals.
        anomalies: labelled anomalies.
        generators: pseudo-anomaly generators, one drawn for each pseudo anomaly; empty for none.
    """

    normals: Sequence[ImageItem]
    anomalies: Sequence[ImageItem]
    generators: Sequence[PseudoAnomalyGenerator]


def finetune_backbone(
    backbone: Backbone,
    detector_type: type[BaseDetector],
    images: FinetuningImages,
    config: Config,
    *,
    seed: int,
    device: torch.device,
    observer: Observer,
    checkpoint: Path | None,
    resume: bool,
) -> Backbone:
    """Train a copy of the backbone together with heads, which are then thrown away.

    Args:
        backbone: where the weights start; not modified.
        detector_type: whose heads and loss guide the training.
        images: what to train on.
        config: all constants; `config.finetune` is this stage's.
        seed: of every draw.
        device: where to train.
        observer: hears of every step.
        checkpoint: file that keeps the state after every epoch; None keeps none.
        resume: go on from the checkpoint if there is one.

    Returns:
        the fine-tuned backbone, in evaluation mode.

    Raises:
        ConfigurationError: if the backbone has nothing to train.
        ImageError: if a training image cannot be decoded.
        ResumeError: if the checkpoint is of another run.
    """
    run = _Finetuning(backbone, detector_type, config, seed, device)
    settings = config.finetune
    fingerprint = _fingerprint(backbone, detector_type, images, config, seed)
    first = run.restore(checkpoint, fingerprint) if checkpoint is not None and resume else 0
    if first:
        observer.on_note(f"Resuming the fine-tuning after epoch {first}.")
    total = settings.epochs * settings.steps
    observer.on_stage(STAGE, first * settings.steps, total)
    with ThreadPoolExecutor(max_workers=2) as pool:
        for epoch in range(first, settings.epochs):
            rate = settings.rate * settings.decay ** (epoch // settings.decay_every)
            for step in range(settings.steps):
                loaders, kinds = draw_batch(
                    images, config, derive_seed(seed, "finetune", epoch, step)
                )
                pixels = np.stack(list(pool.map(lambda load: load(), loaders)))
                run.step(pixels, kinds, rate)
                observer.on_stage(STAGE, epoch * settings.steps + step + 1, total)
            if checkpoint is not None:
                run.save(checkpoint, fingerprint, epoch + 1)
    return run.backbone.eval()


def draw_batch(
    images: FinetuningImages, config: Config, seed: int
) -> tuple[list[Callable[[], Pixels]], Tensor]:
    """Draw a balanced batch, not decoded yet.

    Returns:
        what loads the reference normals, then the batch, and the batch's kinds (batch_size,).
    """
    random = numpy_generator(seed, "draw")
    size = config.finetune.batch_size
    counts = balanced_counts(size, (True, True, bool(images.generators)))

    def pick(items: Sequence[ImageItem]) -> Callable[[], Pixels]:
        return items[int(random.integers(len(items)))].load

    def tampered() -> Callable[[], Pixels]:
        image, source = pick(images.normals), pick(images.normals)
        generator = images.generators[int(random.integers(len(images.generators)))]
        own_seed = int(random.integers(2**63))
        return lambda: generator(image(), source(), np.random.default_rng(own_seed))

    loaders = [pick(images.normals) for _ in range(config.heads.reference_normals)]
    loaders += [pick(images.normals) for _ in range(counts[Kind.NORMAL])]
    loaders += [pick(images.anomalies) for _ in range(counts[Kind.ANOMALY])]
    loaders += [tampered() for _ in range(counts[Kind.PSEUDO])]
    kinds = torch.cat([torch.full((count,), int(kind)) for kind, count in enumerate(counts)])
    return loaders, kinds


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
        size = config.features.image_size
        with torch.no_grad():
            probe = torch.zeros(1, 3, size, size, device=device)
            layout = FeatureLayout.of(two_scales(self.backbone.eval(), probe))
        self.backbone.train()
        prior = draw_prior(config.heads.prior_draws, torch_generator(seed, "prior"))
        self.detector = detector_type(config.heads, layout, prior)
        self.heads: Parameters = {
            name: value.to(device).requires_grad_()
            for name, value in self.detector.initial_parameters(
                torch_generator(seed, "finetune heads")
            ).items()
        }
        self.statistics: Statistics = {
            name: value.to(device) for name, value in self.detector.initial_statistics().items()
        }
        self.optimiser = torch.optim.Adam(
            [*trainable, *self.heads.values()],
            lr=config.finetune.rate,
            weight_decay=config.finetune.weight_decay,
        )
        self.references = config.heads.reference_normals

    def step(self, pixels: NDArray[np.uint8], kinds: Tensor, rate: float) -> None:
        """One step of Adam on a batch: pixels (references + N, S, S, 3), kinds (N,)."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        images = as_tensor(pixels, self.device)
        maps = two_scales(self.backbone, images)
        count = self.references
        scores, self.statistics = self.detector.forward(
            self.heads,
            self.statistics,
            tuple(scale[count:] for scale in maps),
            tuple(scale[:count].mean(dim=0) for scale in maps),
            training=True,
        )
        loss = self.detector.loss(scores, kinds.to(self.device))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
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
        """Read the state back; returns the epochs done, 0 without a checkpoint."""
        found = read_checkpoint(path, fingerprint)
        if found is None:
            return 0
        header, groups = found
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in groups["adam"].items():
            index, _, moment = name.partition("/")
            state.setdefault(int(index), {})[moment] = tensor
        self.backbone.load_state_dict(groups["backbone"])
        with torch.no_grad():
            for name, value in self.heads.items():
                value.copy_(groups["heads"][name])
        self.statistics = {k: v.to(self.device) for k, v in groups.get("statistics", {}).items()}
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
        "image_size": config.features.image_size,
        "normals": [item.key for item in images.normals],
        "anomalies": [item.key for item in images.anomalies],
        "generators": [generator.settings() for generator in images.generators],
        "seed": seed,
    }
    return run_fingerprint(values)
