"""The result of an update, checked against all stored examples."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ahl.model.exemplars import Exemplars
from ahl.model.trained import TrainedModel


@dataclass(frozen=True, kw_only=True, eq=False)
class Update:
    """The result of an update.

    Attributes:
        model: the updated model.
        known: the stored examples: kept normals, anomalies and the threshold's normals, then the
            corrected images.
        corrected: number of corrected images, at the end of `known`.
        before: (N,) scores of the examples by the old model.
        after: (N,) scores of the examples by the updated model.
        limit_before: score above which the old model calls an image anomalous: its threshold, else
            the score of probability 0.5; None if it has neither.
        limit_after: the updated model's threshold; `limit_before` if it has none.
        allowed: share of normals that may lie above the limit, even if fewer did before: a
            threshold keeps its rate, not its value.
        had_threshold: True if the old model had a threshold.
    """

    model: TrainedModel
    known: Exemplars
    corrected: int
    before: Tensor
    after: Tensor
    limit_before: float | None
    limit_after: float | None
    allowed: float
    had_threshold: bool

    @property
    def threshold_lost(self) -> bool:
        """True if the threshold was dropped, as too few of its normals are left for its rate."""
        return self.had_threshold and self.model.decision is None

    @property
    def anomalous(self) -> Tensor:
        """Mask (N,) of the examples that are anomalies."""
        return torch.tensor([one.role == "anomaly" for one in self.known.images])

    @property
    def right_before(self) -> Tensor | None:
        """Mask (N,) of the examples that the old model had right; None without a limit."""
        return self._right(self.before, self.limit_before)

    @property
    def right_after(self) -> Tensor | None:
        """Mask (N,) of the examples that the updated model has right; None without a limit."""
        return self._right(self.after, self.limit_after)

    @property
    def worked(self) -> slice:
        """Slice of the examples other than the corrected images."""
        return slice(0, len(self.known) - self.corrected)

    @property
    def refusals(self) -> list[str]:
        """The rules that the update breaks, with counts before and after.

        Of the examples other than the corrected images, no more anomalies may be wrong than before,
        and no more normals than before or than `allowed`. Without a limit, no more pairs of an
        anomaly and a normal may be in the wrong order.
        """
        anomalous, own = self.anomalous[self.worked], self.worked
        if self.right_before is None or self.right_after is None:
            pairs = [_disorder(scores[own], anomalous) for scores in (self.before, self.after)]
            return [f"pairs of a good image and a defect in the wrong order: {_grown(*pairs)}"] * (
                pairs[1] > pairs[0]
            )
        wrong = [~right[own] for right in (self.right_before, self.right_after)]
        missed, alarms = (
            [int((one & kind).sum()) for one in wrong] for kind in (anomalous, ~anomalous)
        )
        broken = []
        if missed[1] > missed[0]:
            of = int(anomalous.sum())
            broken.append(f"known defects called normal: {_grown(*missed)} of {of}")
        of = int((~anomalous).sum())
        if alarms[1] > max(alarms[0], int(self.allowed * of)):
            broken.append(
                f"known good images called anomalous: {_grown(*alarms)} of {of}, where "
                f"{int(self.allowed * of)} are allowed"
            )
        return broken

    @property
    def worsens(self) -> bool:
        """True if the update breaks a rule."""
        return bool(self.refusals)

    @property
    def mended(self) -> int:
        """Number of corrected images that are right now; all of them without a limit."""
        right = self.right_after
        return self.corrected if right is None else int(right[self.worked.stop :].sum())

    def _right(self, scores: Tensor, limit: float | None) -> Tensor | None:
        return None if limit is None else (scores > limit) == self.anomalous


def _grown(before: int, after: int) -> str:
    return f"{before} before, {after} after"


def _disorder(scores: Tensor, anomalous: Tensor) -> int:
    """Number of pairs in which the anomaly does not score above the normal."""
    pairs = scores[~anomalous][:, None] >= scores[anomalous][None, :]
    return int(pairs.sum())
