"""Batches of drawn groups, the same whoever asks and when."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ahl.pretrain.shards import DrawnGroups
from ahl.randomness import numpy_generator
from ahl.synthetic.groups import DEFECTIVE_PICTURES


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Groups of pictures, each group turned and mirrored in its own way.

    Attributes:
        pictures: (G, 9, 3, S, S) uint8.
        masks: (G, 9, S, S) uint8; good pictures have empty ones.
        groups: (G,) int64, which groups.
    """

    pictures: Tensor
    masks: Tensor
    groups: Tensor


def batch_at(drawn: DrawnGroups, step: int, *, size: int, seed: int) -> Batch:
    """The batch of a step: every group at most once an epoch, in an order of the epoch's own.

    What is left at an epoch's end and fills no batch is left out: a group twice in a batch would
    have to be told from itself.

    Args:
        drawn: all groups.
        step: counted from 0.
        size: groups in a batch.
        seed: of order and turns.
    """
    epoch, within = divmod(step, len(drawn) // size)
    order = numpy_generator(seed, "order", epoch).permutation(len(drawn))
    groups = order[within * size : (within + 1) * size]
    random = numpy_generator(seed, "turns", step)
    pictures, masks = [], []
    for group in groups:
        own, marks = drawn[int(group)]
        every = np.zeros((len(own), *marks.shape[1:]), dtype=np.uint8)
        every[list(DEFECTIVE_PICTURES)] = marks
        turn, mirrored = int(random.integers(4)), bool(random.integers(2))
        own, every = (np.rot90(part, turn, axes=(1, 2)) for part in (own, every))
        if mirrored:
            own, every = own[:, :, ::-1], every[:, :, ::-1]
        pictures.append(own.transpose(0, 3, 1, 2))
        masks.append(every)
    return Batch(
        pictures=torch.from_numpy(np.stack(pictures)),
        masks=torch.from_numpy(np.stack(masks)),
        groups=torch.from_numpy(groups.astype(np.int64)),
    )


def batches(
    drawn: DrawnGroups, first: int, last: int, *, size: int, seed: int
) -> Iterator[tuple[int, Batch]]:
    """Batches of steps `first` to `last` - 1, the next one read while one is used."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        upcoming = None
        for step in range(first, last):
            now = upcoming or pool.submit(batch_at, drawn, step, size=size, seed=seed)
            upcoming = (
                pool.submit(batch_at, drawn, step + 1, size=size, seed=seed)
                if step + 1 < last
                else None
            )
            yield step, now.result()
