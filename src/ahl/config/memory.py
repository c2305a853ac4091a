"""The memory of normal patches."""

from __future__ import annotations

from dataclasses import dataclass

from ahl.config._checks import require


@dataclass(frozen=True, kw_only=True)
class MemoryConfig:
    """Normal-only evidence beside the labelled one: distances to remembered normal patches.

    Not in the papers (docs/deviations.md).

    Attributes:
        patches: how many the memory keeps for each scale; 0 has no memory.
        candidates: patches drawn at random that those are chosen from.
        weight: size of the evidence where a patch is one spread of the normals farther from the
            memory than they are on average; features have a mean L1 norm of `vectors.l1_norm`.
        highest: evidence is cut off at this many spreads above the normals' mean.
    """

    patches: int = 2000
    candidates: int = 20_000
    weight: float = 15.0
    highest: float = 10.0

    def __post_init__(self) -> None:
        # Upper limits: the values may come from a model file that somebody else wrote.
        require(0 <= self.patches <= 100_000, "patches", self.patches, "from 0 to 100000")
        require(1 <= self.candidates <= 10**7, "candidates", self.candidates, "from 1 to 10000000")
        require(0 < self.weight < float("inf"), "weight", self.weight, "positive")
        require(0 < self.highest < float("inf"), "highest", self.highest, "positive")
