"""PatchCore: nearest neighbours in a coreset of normal patches (Roth et al., CVPR 2022)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ahl._common.randomness import numpy_generator
from ahl.evidence.coreset import draw_patches, greedy_coreset, patches_of
from ahl.features.table import FeatureTable

CANDIDATES = 20_000
"""Number of random patches that the coreset is chosen from; bounds time and memory."""

CORESET = 2_000
"""Number of patches in the memory."""

NEIGHBOURS = 9
"""Number of neighbours b that weight the image score (the paper's Eq. 7)."""


def build_coreset(normals: FeatureTable, *, seed: int) -> Tensor:
    """The coreset of the normals' patches at the full scale: (M, C)."""
    random = numpy_generator(seed, "patchcore")
    candidates, _ = draw_patches(normals, 0, CANDIDATES, random)
    return candidates[greedy_coreset(candidates, CORESET, random)]


def image_scores(patches: Tensor, memory: Tensor) -> Tensor:
    """Image scores (N,) of patches (N, P, C): the largest patch distance, weighted by Eq. 7."""
    distances = torch.cdist(patches.flatten(0, 1), memory).view(*patches.shape[:2], -1)
    nearest, where = distances.min(dim=-1)
    score, patch = nearest.max(dim=1)
    image = torch.arange(len(patches))
    neighbour = memory[where[image, patch]]
    around = torch.cdist(neighbour, memory).topk(min(NEIGHBOURS, len(memory)), dim=1, largest=False)
    to_patch = torch.gather(distances[image, patch], 1, around.indices)
    # exp(s*) / sum of exp, in the stable form.
    weight = 1 - torch.exp(score - torch.logsumexp(to_patch, dim=1))
    return weight * score if len(memory) > 1 else score


def patchcore_scores(
    normals: FeatureTable, test: FeatureTable, *, seed: int
) -> NDArray[np.float64]:
    """Image scores (N_test,) against a memory of normal patches.

    Adapted: features are the benchmark's (frozen, stages joined), at the full scale.
    """
    with torch.inference_mode():
        memory = build_coreset(normals, seed=seed)
        found = [
            image_scores(patches_of(test.layout.split(rows)[0]), memory)
            for _, rows in test.chunks(16)
        ]
    return torch.cat([*found, torch.empty(0)]).double().numpy()
