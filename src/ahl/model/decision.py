"""Thresholds set on normal images, without assumptions on the distribution of the scores.

They rest on order statistics: given n normals, the probability that the next one scores above the
j-th lowest has a beta distribution, whatever that of the scores (Wilks, 1941). A rate is estimated
from a count of n by its exact binomial interval (Clopper and Pearson, 1934).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, expm1, floor, log, log1p, log10
from typing import Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ahl._common.errors import ConfigurationError, DataError
from ahl._common.intervals import share_interval
from ahl._common.schema import Count, Finite, Natural, OpenShare, Share
from ahl._common.text import counted

CONFIDENCE: Final = 0.95
"""Confidence level of all intervals in this module."""

_TAIL: Final = (1 - CONFIDENCE) / 2

Verdict = Literal["normal", "uncertain", "anomalous"]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A threshold, with its false-alarm rate and miss rate.

    Attributes:
        threshold: score above which an image is anomalous.
        surely_normal: score below which an image is normal without question mark: the share of
            normals above such a score is larger than allowed (95 % interval); None if there are
            too few normals to tell.
        surely_anomalous: score above which an image is anomalous without question mark: the share
            of normals above such a score is smaller than allowed (95 % interval); None if there
            are too few normals to tell.
        max_false_alarm_rate: share of normals that may be called anomalous.
        expected_false_alarm_rate: probability that the next normal is called anomalous.
        false_alarm_rate_low: lower end of the 95 % interval of the share of all normals above the
            threshold.
        false_alarm_rate_high: upper end of this interval.
        normals: number of normals that the threshold was set on.
        held_out: True if their scores are out-of-fold scores of training normals.
        anomalies: number of labelled anomalies with an out-of-fold score.
        missed: number of these that do not score above the threshold.
    """

    threshold: Finite
    surely_normal: Finite | None
    surely_anomalous: Finite | None
    max_false_alarm_rate: OpenShare
    expected_false_alarm_rate: Share
    false_alarm_rate_low: Share
    false_alarm_rate_high: Share
    normals: Natural
    held_out: bool
    anomalies: Count = 0
    missed: Count = 0

    def __post_init__(self) -> None:
        if self.missed > self.anomalies:
            raise ValueError("more anomalies are missed than there are")

    @property
    def miss_rate(self) -> tuple[float, float, float] | None:
        """Share of out-of-fold anomalies that are missed, and its exact 95 % interval.

        It holds for the classes trained on. None without out-of-fold anomalies.
        """
        if not self.anomalies:
            return None
        low, high = share_interval(self.missed, self.anomalies)
        return self.missed / self.anomalies, float(low), float(high)

    def against(self, anomalies: NDArray[np.float64]) -> Self:
        """Return a copy with the numbers of anomalies and of misses among them.

        Args:
            anomalies: (M,) out-of-fold scores of anomalies.
        """
        missed = sum(not self.is_anomalous(float(score)) for score in anomalies)
        return replace(self, anomalies=len(anomalies), missed=missed)

    def false_alarms_among(self, count: int) -> tuple[int, int]:
        """95 % prediction interval of the number of false alarms among further normals.

        The number of further normals above an order statistic is beta-binomial, whatever the
        distribution of the scores.

        Args:
            count: number of further normals, at least one.
        """
        from scipy.stats import betabinom  # takes its time to load

        above = round(self.expected_false_alarm_rate * (self.normals + 1))
        hits = betabinom(count, above, self.normals + 1 - above)
        return int(hits.ppf(_TAIL)), int(hits.ppf(1 - _TAIL))

    def verdict(self, score: float) -> Verdict:
        """Verdict on an image with this score.

        `"uncertain"`: the normals do not show whether the share that scores above it is larger or
        smaller than allowed.
        """
        if self.surely_normal is not None and score < self.surely_normal:
            return "normal"
        if self.surely_anomalous is not None and score > self.surely_anomalous:
            return "anomalous"
        return "uncertain"

    def is_anomalous(self, score: float) -> bool:
        """True if the score lies above the threshold."""
        return score > self.threshold


def fewest_normals(max_false_alarm_rate: float) -> int:
    """Fewest normals for a threshold with this expected false-alarm rate."""
    return ceil(1 / max_false_alarm_rate - 1e-9) - 1


def least_rate(normals: int) -> float:
    """Lowest expected false-alarm rate of a threshold, rounded up to 3 digits.

    Args:
        normals: number of normals that the threshold is set on, at least one.
    """
    rate = 1 / (normals + 1)
    step = 10.0 ** (floor(log10(rate)) - 2)
    return round(ceil(rate / step - 1e-9) * step, 9)


def fewest_for_certainty(max_false_alarm_rate: float) -> int:
    """Fewest normals for an anomalous verdict without question mark at this rate."""
    return ceil(log(_TAIL) / log1p(-max_false_alarm_rate) + 1e-9)


def least_certain_rate(normals: int) -> float:
    """Lowest false-alarm rate for anomalous verdicts without question mark.

    Args:
        normals: number of normals that the threshold is set on, at least one.

    Returns:
        the rate, from 0.01 to 1, rounded up to a whole per cent.
    """
    return ceil(100 * -expm1(log(_TAIL) / normals) + 1e-9) / 100


def decide(
    scores: NDArray[np.float64], max_false_alarm_rate: float, *, held_out: bool = False
) -> Decision:
    """Set a threshold for a false-alarm rate.

    It is the lowest of the normals' scores above which the next normal lies with at most this
    probability: split conformal prediction (Vovk et al., 2005).

    Args:
        scores: (N,) scores of normals that were not trained on.
        max_false_alarm_rate: the rate, above 0 and below 1.
        held_out: as in `Decision`.

    Raises:
        ConfigurationError: if the rate is out of range.
        DataError: if there are too few normals for it, or a score is not finite.
    """
    from scipy.special import betaincinv  # takes its time to load

    if not 0 < max_false_alarm_rate < 1:
        raise ConfigurationError(
            f"The false-alarm rate is {max_false_alarm_rate:g}; it must lie between 0 and 1."
        )
    count, least = len(scores), fewest_normals(max_false_alarm_rate)
    if count < max(1, least):
        reached = f"; {count} show {least_rate(count):g} at best" if count else ""
        raise DataError(
            f"{counted(count, 'good image')} cannot show a false-alarm rate of "
            f"{max_false_alarm_rate:g}: at least {max(1, least):,} are needed{reached}. Give "
            f"{max(1, least) - count:,} more, or allow a higher rate (--max-false-alarm-rate)."
        )
    if not np.isfinite(scores).all():
        raise DataError("A score is not finite.")
    ordered = np.sort(scores)
    rank = ceil((count + 1) * (1 - max_false_alarm_rate) - 1e-9)  # 1 is the lowest score
    rank = min(max(rank, 1), count)
    low, high = betaincinv(count - rank + 1, rank, [_TAIL, 1 - _TAIL])
    # Ends of the exact interval of the rate, were 1 to N, or 0 to N - 1, of the normals above.
    hits = np.arange(1, count + 1)
    many = hits[betaincinv(hits, count - hits + 1, _TAIL) > max_false_alarm_rate]
    few = (hits - 1)[betaincinv(hits, count - hits + 1, 1 - _TAIL) < max_false_alarm_rate]
    return Decision(
        threshold=float(ordered[rank - 1]),
        # Below the k-th highest score, at least k normals lie above.
        surely_normal=float(ordered[count - many[0]]) if len(many) else None,
        # Above the next one, at most k do.
        surely_anomalous=float(ordered[count - few[-1] - 1]) if len(few) else None,
        max_false_alarm_rate=max_false_alarm_rate,
        expected_false_alarm_rate=(count - rank + 1) / (count + 1),
        false_alarm_rate_low=float(low),
        false_alarm_rate_high=float(high),
        normals=count,
        held_out=held_out,
    )
