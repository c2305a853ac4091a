"""KDAD: knowledge distillation (Salehi et al., CVPR 2021), adapted to feature maps."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ahl._common.randomness import derive_seed, torch_generator
from ahl.evidence.coreset import patches_of
from ahl.features.table import FeatureTable

BOTTLENECK = 64
"""Width of the student's narrowest layer."""

STEPS, BATCH, RATE = 600, 1024, 1e-3


class Student(nn.Module):
    """A narrow network that reproduces the teacher's features of normal patches."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(channels, 2 * BOTTLENECK),
            nn.ReLU(),
            nn.Linear(2 * BOTTLENECK, BOTTLENECK),
            nn.ReLU(),
            nn.Linear(BOTTLENECK, 2 * BOTTLENECK),
            nn.ReLU(),
            nn.Linear(2 * BOTTLENECK, channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Reproduce features: (N, C) to (N, C)."""
        copied: Tensor = self.layers(features)
        return copied


def discrepancy(student: Student, features: Tensor) -> Tensor:
    """Value and direction terms of the paper's loss for each patch: (N, C) to (N,)."""
    copied: Tensor = student(features)
    direction = 1 - nn.functional.cosine_similarity(copied, features, dim=-1)
    distance: Tensor = (copied - features).square().mean(dim=-1) + direction
    return distance


def distil_and_score(
    normals: FeatureTable, test: FeatureTable, *, seed: int
) -> NDArray[np.float64]:
    """Image scores (N_test,), from normals alone: the student's error on an image's worst patches.

    Adapted: the published student is a small network on images that copies a VGG's layers. Here
    only the teacher's maps are available, so the student reproduces standardised patches through a
    bottleneck; the image score is the mean over the worst tenth of its patches.
    """
    generator = torch_generator(seed, "kdad")
    mean, deviation = _moments(normals)

    def patches(rows: Tensor) -> Tensor:
        return (patches_of(normals.layout.split(rows)[0]) - mean) / deviation

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "kdad weights"))
        student = Student(normals.layout.channels)
    optimiser = torch.optim.Adam(student.parameters(), lr=RATE)
    for _ in range(STEPS):
        images = torch.randint(len(normals), (16,), generator=generator)
        pool = patches(normals.rows(images.numpy())).flatten(0, 1)
        chosen = torch.randint(len(pool), (BATCH,), generator=generator)
        loss = discrepancy(student, pool[chosen]).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    found = []
    with torch.inference_mode():
        for _, rows in test.chunks(64):
            each = discrepancy(student, patches(rows))
            worst = each.topk(max(1, each.shape[1] // 10), dim=1).values
            found.append(worst.mean(dim=1))
    return torch.cat([*found, torch.empty(0)]).double().numpy()


def _moments(normals: FeatureTable) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (C,) of the normals' patches."""
    count, total, squares = 0, torch.zeros(()), torch.zeros(())
    for _, rows in normals.chunks(64):
        flat = patches_of(normals.layout.split(rows)[0]).flatten(0, 1).double()
        count += len(flat)
        total = total + flat.sum(dim=0)
        squares = squares + flat.square().sum(dim=0)
    mean = total / count
    spread = (squares / count - mean.square()).clamp(min=0).sqrt()
    return mean.float(), spread.clamp(min=1e-3 * float(spread.max()) + 1e-12).float()
