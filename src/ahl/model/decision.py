"""From a score to a decision: a threshold set on normal images, without assumptions on the scores.

Everything rests on order statistics: of n normals, the chance that the next one scores above the
j-th lowest follows a beta distribution whatever the scores' own (Wilks, 1941), and a rate is known
from a count of n within its exact binomial interval (Clopper and Pearson, 1934).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import ceil, expm1, isfinite, log, log1p
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ahl._common.errors import ConfigurationError, DataError
from ahl._common.intervals import share_interval

CONFIDENCE: Final = 0.95
"""Of all intervals here."""

_TAIL: Final = (1 - CONFIDENCE) / 2

_RATES: Final = ("expected_false_alarm_rate", "false_alarm_rate_low", "false_alarm_rate_high")

_MOST: Final = 10**9  # images that a count in a file may state

Verdict = Literal["normal", "uncertain", "anomalous"]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A threshold with what is known of it.

    Attributes:
        threshold: an image that scores above it is anomalous.
        surely_normal: of a score below this, more normals than allowed lie above it, with 95 %
            confidence; None if so few normals say that of no score.
        surely_anomalous: of a score above this, fewer normals than allowed do, likewise.
        max_false_alarm_rate: share of normals that may be called anomalous.
        expected_false_alarm_rate: chance that the next normal is called anomalous.
        false_alarm_rate_low: lower end of the 95 % interval of the share of all normals that lie
            above the threshold.
        false_alarm_rate_high: upper end.
        normals: how many the threshold was set on.
        held_out: the normals were training images that detectors left out, not new ones.
        anomalies: labelled anomalies that detectors of the training were asked about without having
            trained on them, as base models are about those of their query sets.
        missed: how many of them do not score above the threshold.
    """

    threshold: float
    surely_normal: float | None
    surely_anomalous: float | None
    max_false_alarm_rate: float
    expected_false_alarm_rate: float
    false_alarm_rate_low: float
    false_alarm_rate_high: float
    normals: int
    held_out: bool
    anomalies: int = 0
    missed: int = 0

    @property
    def miss_rate(self) -> tuple[float, float, float] | None:
        """Expected share of anomalies that are missed, and the ends of its exact 95 % interval.

        None if no anomaly was left out. It is of kinds that were shown.
        """
        if not self.anomalies:
            return None
        low, high = share_interval(self.missed, self.anomalies)
        return self.missed / self.anomalies, float(low), float(high)

    def against(self, anomalies: NDArray[np.float64]) -> Self:
        """The same with what is known of misses.

        Args:
            anomalies: (M,) scores of left-out anomalies.
        """
        missed = sum(not self.is_anomalous(float(score)) for score in anomalies)
        return replace(self, anomalies=len(anomalies), missed=missed)

    def false_alarms_among(self, count: int) -> tuple[int, int]:
        """How many of so many further normals will be called anomalous: ends of a 95 % interval.

        Above an order statistic of n lie beta-binomially many of further ones, whatever the
        distribution of the scores.

        Args:
            count: at least one.
        """
        from scipy.stats import betabinom  # takes its time to load

        above = round(self.expected_false_alarm_rate * (self.normals + 1))
        hits = betabinom(count, above, self.normals + 1 - above)
        return int(hits.ppf(_TAIL)), int(hits.ppf(1 - _TAIL))

    def verdict(self, score: float) -> Verdict:
        """What to call an image.

        `"uncertain"` means that so many normals do not tell whether more or fewer than allowed
        score above it.
        """
        if self.surely_normal is not None and score < self.surely_normal:
            return "normal"
        if self.surely_anomalous is not None and score > self.surely_anomalous:
            return "anomalous"
        return "uncertain"

    def is_anomalous(self, score: float) -> bool:
        """Whether the score lies above the threshold."""
        return score > self.threshold

    def values(self) -> dict[str, Any]:
        """JSON values; `rebuild` is the inverse."""
        return asdict(self)

    @classmethod
    def rebuild(cls, values: Mapping[str, Any]) -> Self:
        """Read JSON values back.

        Raises:
            KeyError, TypeError, ValueError: if they are no decision.
        """
        numbers = {
            name: float(values[name])
            for name in (
                "threshold",
                "max_false_alarm_rate",
                *_RATES,
            )
        }
        ends = {
            name: None if values[name] is None else float(values[name])
            for name in ("surely_normal", "surely_anomalous")
        }
        if not all(isfinite(x) for x in [*numbers.values(), *ends.values()] if x is not None):
            raise ValueError("the threshold is not finite")
        if not 0 < numbers["max_false_alarm_rate"] < 1:
            raise ValueError("the allowed false-alarm rate is not between 0 and 1")
        if not all(0 <= numbers[name] <= 1 for name in _RATES):
            raise ValueError("a false-alarm rate is not between 0 and 1")
        normals, anomalies, missed = (
            int(values[name]) for name in ("normals", "anomalies", "missed")
        )
        if not 1 <= normals <= _MOST or anomalies > _MOST:
            raise ValueError("the threshold is of more images than there can be, or of none")
        if not isinstance(values["held_out"], bool):
            raise TypeError("it is not said whether the normals were held out")
        if not 0 <= missed <= anomalies:
            raise ValueError("more anomalies are missed than there are")
        return cls(
            **numbers,
            surely_normal=ends["surely_normal"],
            surely_anomalous=ends["surely_anomalous"],
            normals=normals,
            held_out=values["held_out"],
            anomalies=anomalies,
            missed=missed,
        )


def fewest_normals(max_false_alarm_rate: float) -> int:
    """Normals from which on a threshold can keep the expected false-alarm rate."""
    return ceil(1 / max_false_alarm_rate - 1e-9) - 1


def fewest_for_certainty(max_false_alarm_rate: float) -> int:
    """Normals from which on a score above all of theirs is anomalous beyond doubt."""
    return ceil(log(_TAIL) / log1p(-max_false_alarm_rate) + 1e-9)


def least_certain_rate(normals: int) -> float:
    """The lowest false-alarm rate that so many are enough for, rounded up to a whole per cent.

    Args:
        normals: at least one.

    Returns:
        the rate, from 0.01 to 1.
    """
    return ceil(100 * -expm1(log(_TAIL) / normals) + 1e-9) / 100


def decide(
    scores: NDArray[np.float64], max_false_alarm_rate: float, *, held_out: bool = False
) -> Decision:
    """Set a threshold that at most a share of normals is expected to exceed.

    The threshold is the lowest of the normals' scores for which the next normal lies above it
    with a chance of at most the rate: split conformal prediction (Vovk et al., 2005).

    Args:
        scores: (N,) of normals that were not trained on.
        max_false_alarm_rate: above 0 and below 1.
        held_out: as in `Decision`.

    Raises:
        ConfigurationError: if the rate cannot be.
        DataError: if there are too few normals for it, or a score is not finite.
    """
    from scipy.special import betaincinv  # takes its time to load

    if not 0 < max_false_alarm_rate < 1:
        raise ConfigurationError(
            f"The false-alarm rate is {max_false_alarm_rate:g}; it must lie between 0 and 1."
        )
    count, least = len(scores), fewest_normals(max_false_alarm_rate)
    if count < max(1, least):
        raise DataError(
            f"{count} normal images cannot show a false-alarm rate of {max_false_alarm_rate:g}: "
            f"at least {max(1, least)} are needed. Give more, or allow a higher rate."
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
