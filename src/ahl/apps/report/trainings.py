"""The trainings that a model's history tells of: the first, and each adaptation after it."""

from __future__ import annotations

from collections.abc import Sequence

from ahl._common.history import EpochRecord


def split_trainings(history: Sequence[EpochRecord]) -> list[list[EpochRecord]]:
    """Split the history of all epochs where another training begins.

    Args:
        history: in order; epochs are counted from 1 again in each training.

    Returns:
        the history of each, none of them empty.
    """
    trainings: list[list[EpochRecord]] = []
    for record in history:
        if not trainings or record.epoch <= trainings[-1][-1].epoch:
            trainings.append([])
        trainings[-1].append(record)
    return trainings
