"""Training history: losses and importance scores of every epoch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ahl._common.schema import Finite, Natural, read_values


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """Losses and importance scores of one epoch, for people, logs and reports.

    Attributes:
        epoch: counted from 1.
        support_losses: T mean losses of the base models on their support sets.
        query_losses: T losses of the adapted base models on their query sets (Eq. 4's terms);
            empty for a detector trained alone.
        importance: T importance scores w_i used in the outer step.
    """

    epoch: Natural
    support_losses: tuple[Finite, ...]
    query_losses: tuple[Finite, ...]
    importance: tuple[Finite, ...]

    def __post_init__(self) -> None:
        count = len(self.support_losses)
        if not count or len(self.importance) != count or len(self.query_losses) not in (0, count):
            raise ValueError(
                f"epoch {self.epoch}: a loss or an importance of a base model is missing"
            )

    @property
    def mean_losses(self) -> dict[str, float]:
        """Mean loss of the base models on each kind of set: `support`, and `query` if it has any.

        A detector trained alone has `support` only.
        """
        losses = {"support": self.support_losses, "query": self.query_losses}
        return {name: sum(own) / len(own) for name, own in losses.items() if own}


def read_history(values: Iterable[object]) -> tuple[EpochRecord, ...]:
    """Rebuild the history of one training from JSON values.

    Raises:
        ValueError, TypeError: if they are not a list of epochs' records, or inconsistent.
    """
    history = tuple(read_values(one, EpochRecord) for one in values)
    check_history(history)
    return history


def check_history(history: Sequence[EpochRecord]) -> None:
    """Check the history of a training and of later adaptations.

    Raises:
        ValueError: if the number of models changes within a training.
    """
    for before, after in pairwise(history):
        same = len(before.support_losses) == len(after.support_losses)
        if after.epoch > before.epoch and not same:  # else another training begins
            raise ValueError(
                f"epoch {after.epoch} has a different number of base models than the epoch before"
            )
