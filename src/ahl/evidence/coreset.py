"""Coresets of patches by farthest-point sampling (Roth et al., PatchCore, CVPR 2022)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ahl.features.table import FeatureTable

PROJECTED = 128
"""Number of dimensions of the random projection in which patches are compared."""


def patches_of(maps: Tensor) -> Tensor:
    """Locally averaged features, one row per position: (N, C, H, W) to (N, H * W, C).

    Every position is averaged with its eight neighbours (PatchCore, section 3.1), for robustness to
    small shifts.
    """
    averaged = functional.avg_pool2d(maps, 3, stride=1, padding=1, count_include_pad=False)
    return averaged.flatten(-2).transpose(-1, -2)


def draw_patches(
    table: FeatureTable, scale: int, count: int, random: np.random.Generator
) -> tuple[Tensor, NDArray[np.int64]]:
    """Draw patches of one scale at random positions of random images.

    Args:
        table: feature rows of the images.
        scale: index of the scale.
        count: largest number of patches.
        random: source of the positions.

    Returns:
        (n, C) patches and the (n,) index of each patch's image, in ascending order.
    """
    height, width = table.layout.scales[scale][1:]
    places = np.sort(random.permutation(len(table) * height * width)[:count])
    image, position = places // (height * width), places % (height * width)
    found = []
    for indices, rows in table.chunks(64):
        here = (image >= indices[0]) & (image <= indices[-1])
        patches = patches_of(table.layout.split(rows)[scale])
        found.append(patches[torch.from_numpy(image[here] - indices[0]), position[here]])
    return torch.cat(found), image


def greedy_coreset(patches: Tensor, count: int, random: np.random.Generator) -> Tensor:
    """Choose patches far from each other, in a random projection (PatchCore's algorithm 1).

    Args:
        patches: (N, C).
        count: number of patches to choose.
        random: source of the projection and the first choice.

    Returns:
        (min(count, N),) indices of the chosen patches.
    """
    projection = torch.from_numpy(random.standard_normal((patches.shape[1], PROJECTED))).float()
    reduced = patches @ projection
    norms = reduced.square().sum(dim=1)

    def squared_distances(index: int) -> Tensor:
        # Expanded, so that one product reads the patches once; half the time of differences.
        return norms - 2 * (reduced @ reduced[index]) + norms[index]

    chosen = [int(random.integers(len(patches)))]
    distance = squared_distances(chosen[0])
    for _ in range(min(count, len(patches)) - 1):
        chosen.append(int(distance.argmax()))
        distance = torch.minimum(distance, squared_distances(chosen[-1]))
    return torch.tensor(chosen)
