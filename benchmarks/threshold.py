"""False-alarm rates that `ahl threshold` states, against those observed on further normals.

    python benchmarks/threshold.py DATA...

Each DATA is a prepared dataset (`ahl datasets prepare`). A third of its normals, drawn at random,
and M anomalies train a model; the other normals are scored once and split at random, many times:
the threshold is set on one part, and the share of the other part above it is measured. Last, the
threshold is set on out-of-fold scores of the training normals and judged by all other normals.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import betabinom, binom

from ahl import AHL
from ahl._common.randomness import numpy_generator
from ahl.data import draw_split, open_dataset
from ahl.data.images.sources import from_samples
from ahl.model.decision import CONFIDENCE, Decision, decide, fewest_normals
from ahl.scoring.thresholds import out_of_fold_normals, score_new_normals

Scores = NDArray[np.float64]

TAIL = (1 - CONFIDENCE) / 2


@dataclass(frozen=True, kw_only=True)
class Untouched:
    """Scores of images that a model was not trained on, and its out-of-fold scores.

    Attributes:
        normals: scores (N,) of all other normals; identical images count once.
        anomalies: scores of all other anomalies.
        left_out: out-of-fold scores of the training normals.
    """

    normals: Scores
    anomalies: Scores
    left_out: Scores


def score(data: Path, anomalies: int, seed: int) -> Untouched:
    """Train on a third of the normals and score the rest."""
    split = draw_split(open_dataset(data), anomalies=anomalies, seed=seed)
    normals = [*split.normals, *(sample for sample in split.test if not sample.is_anomaly)]
    order = numpy_generator(seed, "threshold benchmark").permutation(len(normals))
    chosen = tuple(normals[i] for i in np.sort(order[: len(normals) // 3]))
    detector = AHL(seed=seed).fit_split(replace(split, normals=chosen))
    found = score_new_normals(
        detector.model_, from_samples(normals), detector.scorer.extractor.device
    )
    defects = [sample.source for sample in split.test if sample.is_anomaly]
    return Untouched(
        normals=found.scores,
        anomalies=detector.decision_function(defects),
        left_out=out_of_fold_normals(detector.model_).scores,
    )


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A threshold, judged by normals it was not set on.

    Attributes:
        decision: the threshold and its statements.
        rate: share of the measuring normals above it.
        surely: share of them called anomalous beyond doubt; None if no verdict can be that sure.
        measured: number of measuring normals.
        found: share of the anomalies above the threshold.
        found_surely: share of them called anomalous beyond doubt.
    """

    decision: Decision
    rate: float
    surely: float | None
    measured: int
    found: float
    found_surely: float

    @property
    def inside(self) -> bool:
        """True if the measured share lies in the stated interval."""
        stated = self.decision
        return stated.false_alarm_rate_low <= self.rate <= stated.false_alarm_rate_high

    @property
    def predicted(self) -> bool:
        """True if the number of false alarms lies in its 95 % prediction interval.

        The number of m further normals above an order statistic of n is beta-binomial: the stated
        beta distribution of the rate, and the chance of drawing m.
        """
        low, high = self.decision.false_alarms_among(self.measured)
        return low <= round(self.rate * self.measured) <= high

    @property
    def surely_refuted(self) -> bool:
        """True if the sure verdicts exceed the allowed rate, at 97.5 % confidence."""
        if self.surely is None:
            return False
        hits = round(self.surely * self.measured)
        allowed = self.decision.max_false_alarm_rate
        return bool(binom.sf(hits - 1, self.measured, allowed) < TAIL)


def judge(decision: Decision, measuring: Scores, anomalies: Scores) -> Judged:
    """Compare a threshold's statements with scores of other images."""
    sure = decision.surely_anomalous
    return Judged(
        decision=decision,
        rate=float((measuring > decision.threshold).mean()),
        surely=None if sure is None else float((measuring > sure).mean()),
        measured=len(measuring),
        found=float((anomalies > decision.threshold).mean()),
        found_surely=0.0 if sure is None else float((anomalies > sure).mean()),
    )


def split_at_random(scores: Untouched, count: int, rate: float, splits: int) -> list[Judged]:
    """Set the threshold on `count` normals and judge it by the others, for many splits."""
    judged = []
    for split in range(splits):
        order = numpy_generator(split, "threshold split").permutation(len(scores.normals))
        decision = decide(scores.normals[order[:count]], rate)
        judged.append(judge(decision, scores.normals[order[count:]], scores.anomalies))
    return judged


def chance_inside(judged: Judged) -> float:
    """Chance that the measured share lies in the interval if the statement is right."""
    decision, many = judged.decision, judged.measured
    above = round(decision.expected_false_alarm_rate * (decision.normals + 1))
    shares = np.arange(many + 1) / many
    inside = decision.false_alarm_rate_low <= shares
    inside &= shares <= decision.false_alarm_rate_high
    chances = betabinom.pmf(np.arange(many + 1), many, above, decision.normals + 1 - above)
    return float(chances[inside].sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--anomalies", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=1, help="models a dataset")
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.01, 0.05])
    options = parser.parse_args()
    print(
        "| data, seed | allowed | set on | judged by | expected | stated interval | mean of splits "
        "| share inside (if as stated) | as predicted | sure ones, mean | refuted | defects above, "
        "surely |\n" + "|---" * 12 + "|"
    )
    for data in options.data:
        for seed in range(options.seeds):
            scores = score(data, options.anomalies, seed)
            name = f"{data.name}, {seed}"
            for rate in options.rates:
                for count in (len(scores.normals) // 2, len(scores.normals) // 4):
                    if count < fewest_normals(rate):
                        print(f"| {name} | {rate:.0%} | {count}: too few |" + " |" * 9)
                        continue
                    print_row(name, split_at_random(scores, count, rate, options.splits))
                if len(scores.left_out) >= fewest_normals(rate):
                    decision = decide(scores.left_out, rate, held_out=True)
                    judged = judge(decision, scores.normals, scores.anomalies)
                    print_row(f"{name}, left out in training", [judged])


def print_row(name: str, judged: list[Judged]) -> None:
    """Print a row of the table; all splits have the same size, and so the same statement."""
    first, many = judged[0], len(judged)
    stated = first.decision
    sure = [one.surely for one in judged if one.surely is not None]
    surely = f"{np.mean(sure):.2%}" if sure else "none can be"
    print(
        f"| {name} | {stated.max_false_alarm_rate:.0%} | {stated.normals} | {first.measured} "
        f"| {stated.expected_false_alarm_rate:.2%} "
        f"| {stated.false_alarm_rate_low:.2%} to {stated.false_alarm_rate_high:.2%} "
        f"| {np.mean([one.rate for one in judged]):.2%} "
        f"| {sum(one.inside for one in judged)} of {many} ({chance_inside(first):.0%}) "
        f"| {sum(one.predicted for one in judged)} of {many} "
        f"| {surely} | {sum(one.surely_refuted for one in judged)} "
        f"| {np.mean([one.found for one in judged]):.0%}, "
        f"{np.mean([one.found_surely for one in judged]):.0%} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
