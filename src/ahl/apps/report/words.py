"""The report's summary: how good the model is, where it fails, what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ahl._common.text import counted, digits
from ahl.apps.report.cases import Case
from ahl.apps.report.counts import (
    ClassRow,
    Counts,
    Rate,
    Separation,
    operating_points,
    share,
    weakest,
)
from ahl.config.image_size import in_pixels
from ahl.model.decision import Decision, fewest_for_certainty
from ahl.model.trained import TrainedModel
from ahl.scoring.evaluation import Evaluation
from ahl.scoring.localisation import NEAR

_GRADES: Final = (
    (0.99, "almost perfectly"),
    (0.95, "very well"),
    (0.9, "well"),
    (0.8, "fairly well"),
    (0.65, "weakly"),
    (0.0, "hardly better than chance"),
)

_FEWEST: Final = 10
"""Fewest images of either kind for an AUROC to be graded: with fewer it may well be chance."""

_WIDE: Final = 0.1
"""Width of an AUROC's interval above which more test images are advised."""

_CONFLICTS: Final = 5
"""Most conflicts of labels that are named."""

_USUAL: Final = 0.05
"""False-alarm rate of the headline when no threshold is set."""

_WEAK: Final = 0.9
"""AUROC below which more training images of a class are advised."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Sentences of the report, the most important first in each tuple.

    Attributes:
        headline: what the model finds, in one sentence.
        how_good: figures in words.
        where_it_fails: classes and images; empty if nowhere.
        what_to_do: advice.
    """

    headline: str
    how_good: tuple[str, ...]
    where_it_fails: tuple[str, ...]
    what_to_do: tuple[str, ...]


def summarise(
    result: Evaluation, counts: Counts, model: TrainedModel, alarms: Sequence[Case]
) -> Summary:
    """Put an evaluation into words.

    Args:
        result: the evaluation.
        counts: its figures.
        model: that was evaluated.
        alarms: the worst false alarms.
    """
    return Summary(
        headline=_headline(counts, model.decision),
        how_good=tuple(_how_good(result, counts, model.decision)),
        where_it_fails=tuple(_where_it_fails(result, counts, alarms)),
        what_to_do=tuple(_what_to_do(counts, model)) or ("These figures suggest no change.",),
    )


def _headline(counts: Counts, decision: Decision | None) -> str:
    """The shares of hits and false alarms at the threshold, or else at 5 % false alarms."""
    if not counts.both:
        return "Not measured: the test needs good images and defects."
    found, alarms = counts.found, counts.alarms
    if decision is None or found is None or alarms is None:
        point = next(one for one in operating_points(counts) if one.rate == _USUAL)
        return (
            f"With a threshold it could find {_share_of(point.found)} of the defects, calling "
            f"{_share_of(point.alarms)} of the good parts defective."
        )
    return (
        f"Finds {_share_of(found)} of the defects, calls {_share_of(alarms)} of the good parts "
        "defective."
    )


def _share_of(rate: Rate) -> str:
    return share(rate.hits, rate.total)


def _how_good(result: Evaluation, counts: Counts, decision: Decision | None) -> Iterator[str]:
    normals, anomalies = len(counts.normals), len(counts.anomalies)
    tested = f"{counted(normals, 'good image')} and {counted(anomalies, 'anomaly')}"
    whole = counts.separation("all")
    if whole is None:
        lacking = "anomalies" if normals else "good images"
        yield f"Tested on {tested}: without {lacking} there is nothing to compare."
        return
    outscored = share(round(whole.auroc * 10_000), 10_000)
    figures = (
        f"an anomaly outscores a good image in {outscored} of all pairs ({auroc_words(whole)})."
    )
    on = f"On {tested} that it was not trained on"
    if min(normals, anomalies) < _FEWEST:
        yield f"{on}, {figures}"
        yield f"That is too few to tell how good the model is: test on at least {_FEWEST} of each."
    else:
        grade = next(words for least, words in _GRADES if whole.auroc >= least)
        yield f"{on}, the model tells the two apart {grade}: {figures}"
    if decision is not None and counts.found is not None and counts.alarms is not None:
        yield (
            f"At its threshold of {decision.threshold:.2f} it finds {rate_words(counts.found)} of "
            f"the anomalies, and calls {rate_words(counts.alarms)} of the good images anomalous."
        )
    if result.pixels is not None:
        yield (
            f"Its heat maps are strongest on the defect, or within {NEAR} pixels of it, in "
            f"{result.pixels.peak_near:.0%} of {counted(result.pixels.masked, 'image')} that have "
            f"a mask; over pixels AUROC is {digits(result.pixels.auroc)}, AUPRO "
            f"{digits(result.pixels.aupro)}."
        )
    if result.threshold_images:
        yield (
            f"{counted(result.threshold_images, 'good image', 'are')} among those that the "
            "threshold was set on: what share of them lies above it was chosen, not measured."
        )
    if result.trained_parts:
        of_new = result.of_new_parts
        yield (
            f"{counted(result.trained_parts, 'tested image', 'are')} of parts that it was trained "
            f"on; without them AUROC is {digits(None if of_new is None else of_new.auroc)}."
        )
    seen, unseen = counts.separation("seen"), counts.separation("unseen")
    if seen is not None and unseen is not None:
        apart = seen.low > unseen.high or unseen.low > seen.high
        words = "a difference" if apart else "these images show no difference"
        yield (
            f"Kinds of anomaly seen in training have {auroc_words(seen)}; kinds never seen have "
            f"{auroc_words(unseen)}: {words} beyond chance."
        )


def _where_it_fails(result: Evaluation, counts: Counts, alarms: Sequence[Case]) -> Iterator[str]:
    weak = weakest(counts)
    if weak is not None and not _perfect(weak):
        yield f"Found least often: {_class_words(weak)}."
    if counts.found is not None and counts.found.hits < counts.found.total:
        missed = counts.found.total - counts.found.hits
        yield f"{missed:,} of {counted(counts.found.total, 'anomaly')} missed."
    # Without a threshold nothing is called anomalous: then the highest good images stand for them.
    wrong = [case for case in alarms if case.wrong or counts.alarms is None]
    reasons = Counter(case.reasons[0][0] for case in wrong if case.reasons)
    for meaning, times in reasons.most_common(1):
        yield (
            f"Main reason for the worst false alarms: they are {meaning} ({times} of {len(wrong)})."
        )
    for one in result.conflicts[:_CONFLICTS]:
        yield f"{one.in_words()}."
    if (more := len(result.conflicts) - _CONFLICTS) > 0:
        yield f"And {more} more such pairs."
    if result.skipped:
        yield f"{counted(len(result.skipped), 'image')} could not be read."


def _what_to_do(counts: Counts, model: TrainedModel) -> Iterator[str]:
    decision, found, alarms, weak = model.decision, counts.found, counts.alarms, weakest(counts)
    if decision is None:
        yield (
            "Set a threshold with `ahl threshold MODEL GOOD_IMAGES...`: it says how many false "
            "alarms to expect. Without one, scores only rank images."
        )
    else:
        yield from _on_threshold(counts, decision)
    if found is not None and found.hits < found.total:
        most = "" if weak is None or _perfect(weak) else f", of class {weak.name} above all,"
        yield (
            "Look at the worst misses below: can the defect be seen at all at the model's image "
            f"size of {in_pixels(model.config.features.size)}? If so, add some of them{most} to "
            "the training images and train again, or pass them to `ahl update MODEL --missed "
            "FILES --kind CLASS`."
        )
    separation = None if decision is not None or weak is None else weak.separation
    if separation is not None and separation.auroc < _WEAK:
        yield f"Add some images of class {separation.name} and train again."
    if alarms is not None and alarms.hits:
        yield (
            "Look at the worst false alarms below: a real defect among them is a wrong label; if "
            "all are good, train with more good images like them, or pass them to `ahl update "
            "MODEL --false-alarm FILES`."
        )
    if decision is not None and decision.surely_anomalous is None:
        needed = fewest_for_certainty(decision.max_false_alarm_rate)
        yield (
            f"The threshold was set on {counted(decision.normals, 'good image')}; {needed:,} are "
            "needed before it calls any image anomalous beyond doubt."
        )
    whole = counts.separation("all")
    if whole is not None and whole.high - whole.low > _WIDE:
        yield (
            "Test on more images: the interval of the AUROC is "
            f"{whole.high - whole.low:.2f} wide with {counted(len(counts.normals), 'good image')} "
            f"and {counted(len(counts.anomalies), 'anomaly')}."
        )
    if counts.both and not len(counts.unseen):
        yield (
            "Every kind of anomaly tested was seen in training: how the model does on kinds never "
            "seen is not measured here. Leave a kind out of the training to measure it."
        )


def _on_threshold(counts: Counts, decision: Decision) -> Iterator[str]:
    found, alarms = counts.found, counts.alarms
    if alarms is not None and alarms.low > decision.max_false_alarm_rate:
        yield (
            "More good images lie above the threshold than the share of "
            f"{decision.max_false_alarm_rate:.3g} that it was set to allow: set it again on good "
            "images like these that the model was not trained on."
        )
    if found is None or not len(counts.normals):
        return
    above = int((counts.anomalies > counts.normals.max()).sum())
    if above > found.hits:
        source = "of the training, scored out-of-fold," if decision.held_out else "not trained on"
        yield (
            f"{counted(above - found.hits, 'missed anomaly', 'are')} above every good image: the "
            f"threshold, set on {counted(decision.normals, 'good image')} {source}, may be higher "
            "than necessary. Set it again on more good images that the model was not trained on."
        )


def auroc_words(one: Separation) -> str:
    """An AUROC with its interval: `AUROC 0.953, 95 % interval 0.92 to 0.97`."""
    return f"AUROC {digits(one.auroc)}, 95 % interval {one.low:.2f} to {one.high:.2f}"


def rate_words(rate: Rate) -> str:
    """A rate with its interval: `31 of 44 (70 %, 95 % interval 55 to 83 %)`."""
    return (
        f"{rate.hits:,} of {rate.total:,} ({share(rate.hits, rate.total)}, 95 % interval "
        f"{100 * rate.low:.0f} to {100 * rate.high:.0f} %)"
    )


def _class_words(row: ClassRow) -> str:
    words = f"class {row.name} ({row.kind} in training)"
    if row.called is not None:
        words += f", {rate_words(row.called)} above the threshold"
    if row.separation is not None:
        words += f", {auroc_words(row.separation)}"
    return words


def _perfect(row: ClassRow) -> bool:
    if row.called is not None:
        return row.called.hits == row.called.total
    return row.separation is not None and row.separation.auroc == 1
