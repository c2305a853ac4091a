"""The trainings that a model's records tell of: the first, and each adaptation after it."""

from __future__ import annotations

from collections.abc import Sequence

from ahl._common.records import EpochRecord


def split_trainings(records: Sequence[EpochRecord]) -> list[list[EpochRecord]]:
    """Split the records of all epochs where another training begins.

    Args:
        records: in order; epochs are counted from 1 again in each training.

    Returns:
        the records of each, none of them empty.
    """
    trainings: list[list[EpochRecord]] = []
    for record in records:
        if not trainings or record.epoch <= trainings[-1][-1].epoch:
            trainings.append([])
        trainings[-1].append(record)
    return trainings
