"""The result of an update, held to all that is known."""

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
        model: the updated one.
        known: all it was held to: kept normals, anomalies and normals of the threshold, then the
            corrected images.
        corrected: how many of the last ones were got wrong before.
        before: (N,) scores of the known by the model before.
        after: (N,) by the updated one.
        limit_before: score above which the model before calls an image anomalous: its threshold, or
            else the score of probability 0.5; None if it has neither.
        limit_after: the updated one's threshold; the same where it has none.
        allowed: share of normals that may lie above the limit, where that is more than did before:
            a threshold keeps its rate, not its place.
        had_threshold: whether the model before had one.
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
        """True if too few of the normals that the threshold was set on are left for its rate."""
        return self.had_threshold and self.model.decision is None

    @property
    def anomalous(self) -> Tensor:
        """(N,) True for each known image that is an anomaly."""
        return torch.tensor([one.role == "anomaly" for one in self.known.images])

    @property
    def right_before(self) -> Tensor | None:
        """(N,) True where an image was on its side of the limit; None without one."""
        return self._right(self.before, self.limit_before)

    @property
    def right_after(self) -> Tensor | None:
        """(N,) True where it is now."""
        return self._right(self.after, self.limit_after)

    @property
    def worked(self) -> slice:
        """The known images but for the corrected ones."""
        return slice(0, len(self.known) - self.corrected)

    @property
    def refusals(self) -> list[str]:
        """The rules that it breaks, with the counts before and after; the corrected do not count.

        No more anomalies may be wrong than before, and no more normals than before unless they
        are allowed. Without a limit no more pairs of an anomaly and a normal may be in the wrong
        order.
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
        """True if a rule is broken."""
        return bool(self.refusals)

    @property
    def mended(self) -> int:
        """Number of the corrected images on their side now; all of them without a limit."""
        right = self.right_after
        return self.corrected if right is None else int(right[self.worked.stop :].sum())

    def _right(self, scores: Tensor, limit: float | None) -> Tensor | None:
        return None if limit is None else (scores > limit) == self.anomalous


def _grown(before: int, after: int) -> str:
    return f"{before} before, {after} after"


def _disorder(scores: Tensor, anomalous: Tensor) -> int:
    """Pairs of a normal and an anomaly that does not score above it."""
    pairs = scores[~anomalous][:, None] >= scores[anomalous][None, :]
    return int(pairs.sum())
