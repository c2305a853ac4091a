"""What a training run leaves behind of every epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


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
        losses = ("support_losses", "query_losses", "importance")
        return cls(
            epoch=int(values["epoch"]),
            **{name: tuple(float(value) for value in values[name]) for name in losses},
        )
