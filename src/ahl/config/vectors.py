"""What is done to feature vectors before anything learns from them."""

from __future__ import annotations

from dataclasses import dataclass

from ahl.config._checks import require


@dataclass(frozen=True, kw_only=True)
class VectorConfig:
    """What is done to the feature vectors of all positions before anything learns from them.

    Not in the papers (docs/deviations.md).

    Attributes:
        components: principal components that the channels are reduced to; 0 keeps them all.
        l1_norm: one factor brings the mean L1 norm of the training normals' feature vectors to
            this value, so that learning rates mean the same for every backbone; 0 has none.
    """

    components: int = 128
    l1_norm: float = 600.0

    def __post_init__(self) -> None:
        # Upper limit: the value may come from a model file that somebody else wrote.
        require(0 <= self.components <= 4096, "components", self.components, "from 0 to 4096")
        require(0.0 <= self.l1_norm < float("inf"), "l1_norm", self.l1_norm, "0 or positive")
