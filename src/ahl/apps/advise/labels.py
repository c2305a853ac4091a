"""Do the labels beat a model of good images alone, and which of them look wrong?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ahl._common.types import Sample
from ahl.apps.advise.figures import Figure
from ahl.apps.advise.ranking import Ranking

Verdict = Literal["yes", "no", "cannot tell"]

SMALL = 0.02
"""AUROC that a difference must be surely below to be called none."""

LOOK_AGAIN = 0.3
"""Share of the images of the other label that it passes, from which an image is listed."""

LOOKS_WRONG = 0.5
"""Share from which it is more like the other label than like its own."""

MOST_SUSPECTS = 10
"""Images that are listed at most."""


@dataclass(frozen=True, kw_only=True)
class LabelAdvice:
    """What labelled defects are worth, on images that were left out.

    Attributes:
        labelled: AUROC of detectors that trained on the labels.
        memory_only: of the distance from good images' patches, on the same images.
        gain: how much higher the first is.
        verdict: whether the labels help.
        anomalies: labelled defects that were tested.
        normals: good images that were tested.
    """

    labelled: Figure
    memory_only: Figure
    gain: Figure
    verdict: Verdict
    anomalies: int
    normals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """An image that detectors which did not train on it find to be of the other label.

    Attributes:
        name: of the image.
        class_name: its label.
        passed: share of the images of the other label, left out with it, that it lies beyond: the
            defects that a good image outscores, or the good images that outscore a defect. The
            mean over two kinds of detector.
        views: the share by each kind: the labelled detector, and a linear classifier.
        looks_wrong: whether that is more than half.
    """

    name: str
    class_name: str
    passed: float
    views: tuple[float, float]
    looks_wrong: bool


def compare_labels(labelled: Ranking, memory_only: Ranking) -> LabelAdvice | None:
    """Labels against good images alone; None where nothing could be tested."""
    gain = labelled.minus(memory_only)
    one, other = labelled.figure(), memory_only.figure()
    if gain is None or one is None or other is None:
        return None
    verdict: Verdict = "cannot tell"
    if gain.low > 0:
        verdict = "yes"
    elif gain.high < SMALL:
        verdict = "no"
    tested = ~np.isnan(labelled.shares)
    return LabelAdvice(
        labelled=one,
        memory_only=other,
        gain=gain,
        verdict=verdict,
        anomalies=int((tested & labelled.anomalous).sum()),
        normals=int((tested & ~labelled.anomalous).sum()),
    )


def find_suspects(
    samples: Sequence[Sample], labelled: Ranking, second: Ranking
) -> tuple[tuple[Suspect, ...], dict[str, int]]:
    """Images that look mislabelled, the likeliest first.

    Two kinds of detector see an image differently; where both err in the same direction, the label
    is the likelier cause.

    Args:
        samples: the images.
        labelled: by the labelled detectors.
        second: by another kind of detector.

    Returns:
        the first `MOST_SUSPECTS`, and how many there are in each class that has any.
    """
    views = np.stack([one.shares for one in (labelled, second)])
    views = np.where(labelled.anomalous, 1 - views, views)
    passed = np.nan_to_num(views.mean(axis=0))
    order = np.argsort(-passed, kind="stable")
    found = [int(index) for index in order if passed[index] >= LOOK_AGAIN]
    return tuple(
        Suspect(
            name=samples[index].name,
            class_name=samples[index].class_name,
            passed=float(passed[index]),
            views=(float(views[0, index]), float(views[1, index])),
            looks_wrong=bool(passed[index] > LOOKS_WRONG),
        )
        for index in found[:MOST_SUSPECTS]
    ), dict(sorted(Counter(samples[index].class_name for index in found).items()))
