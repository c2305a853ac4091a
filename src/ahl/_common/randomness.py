"""Random generators, seeded by the purpose of their draws.

Seeds are derived from the run's seed and a few labels, so that epoch 7 draws the same numbers
whether or not the run was interrupted before it, and adding one consumer of randomness does
not shift the draws of another.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derive_seed(seed: int, *labels: str | int) -> int:
    """Return a seed in 0 .. 2**63 - 1 that depends on `seed` and every label, in order."""
    text = "\x1f".join([str(seed), *map(str, labels)])
    return (
        int.from_bytes(hashlib.sha256(text.encode(errors="surrogateescape")).digest()[:8], "little")
        >> 1
    )


def numpy_generator(seed: int, *labels: str | int) -> np.random.Generator:
    """Return a NumPy generator for the purpose named by the labels."""
    return np.random.default_rng(derive_seed(seed, *labels))


def torch_generator(seed: int, *labels: str | int) -> torch.Generator:
    """Return a CPU torch generator for the purpose named by the labels."""
    import torch

    return torch.Generator().manual_seed(derive_seed(seed, *labels))
