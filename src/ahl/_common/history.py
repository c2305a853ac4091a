"""What a training run leaves behind of every epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Self

_LAST: Final = 10**9  # epoch that a file may state
_LARGEST: Final = 3.5e38  # losses are float32


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """What one epoch left behind, for people, logs and reports.

    Attributes:
        epoch: counted from 1.
        support_losses: T mean losses of the base models on their support sets.
        query_losses: T losses of the adapted base models on their query sets (Eq. 4's terms).
        importance: T importance scores w_i used in the outer step.
    """

    epoch: int
    support_losses: tuple[float, ...]
    query_losses: tuple[float, ...]
    importance: tuple[float, ...]

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild a record from its JSON values.

        Raises:
            KeyError, TypeError, ValueError: if they are not those of a record.
        """
        names = ("support_losses", "query_losses", "importance")
        losses = {name: tuple(float(value) for value in values[name]) for name in names}
        epoch, count = int(values["epoch"]), len(losses["support_losses"])
        if not 1 <= epoch <= _LAST:
            raise ValueError("an epoch has a number that cannot be")
        if not all(abs(value) <= _LARGEST for own in losses.values() for value in own):
            raise ValueError(f"epoch {epoch} has a loss or an importance that is not finite")
        if not count or len(losses["importance"]) != count:
            raise ValueError(f"epoch {epoch} does not have a loss and an importance for each model")
        if len(losses["query_losses"]) not in (0, count):  # none of a detector trained alone
            raise ValueError(f"epoch {epoch} has query losses of another number of models")
        return cls(epoch=epoch, **losses)


def read_history(values: Sequence[Mapping[str, Any]]) -> tuple[EpochRecord, ...]:
    """Rebuild the history of a model file, of its training and of adaptations after it.

    Raises:
        KeyError, TypeError, ValueError: if they are none, or if the number of models changes
            within a training.
    """
    history = tuple(EpochRecord.from_values(one) for one in values)
    for before, after in pairwise(history):
        same = len(before.support_losses) == len(after.support_losses)
        if after.epoch > before.epoch and not same:  # else another training begins
            raise ValueError(f"epoch {after.epoch} has another number of models than the last")
    return history
