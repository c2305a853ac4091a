"""The advice in plain sentences, each with the figures behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ahl._common.text import counted, joined
from ahl._common.types import GOOD
from ahl.apps.advise.advising import Advice
from ahl.apps.advise.figures import SMALL, Figure
from ahl.apps.advise.image_size import THIN, MaskedDefects, SizeAdvice
from ahl.apps.advise.labels import MORE, WORTH, LabelAdvice, LearningCurve
from ahl.apps.advise.trials import MOST_NORMALS
from ahl.config.image_size import as_option, in_pixels
from ahl.data.copies import Copy, groups_of_copies
from ahl.data.masks import help_for_small_defects

_SHOWN = 3
"""Most groups of copies that are named, and most images named of a group."""

_HARD_SHARE = 0.2  # of a class among the suspects: it is hard, not mislabelled


@dataclass(frozen=True, slots=True)
class Section:
    """One question and its answer.

    Attributes:
        title: the question.
        lines: the answer, the verdict first.
    """

    title: str
    lines: tuple[str, ...]


def sections(advice: Advice) -> list[Section]:
    """The advice as questions with their answers; those that were not asked are left out."""
    labels, curve = advice.labels, advice.curve
    found = [
        Section("What was checked", tuple(_overview(advice))),
        Section("Are there duplicate images?", tuple(_copies(advice.copies))),
    ]
    if labels is not None:
        found.append(Section("Do the labels help?", tuple(_labels(labels))))
    if curve is not None:
        title = f"Would {MORE} more labelled defects help?"
        found.append(Section(title, tuple(_curve(curve))))
        found.append(Section("Is a new kind of defect found?", tuple(_kinds(curve))))
    if labels is not None:
        found.append(Section("Which images look mislabelled?", tuple(_suspects(advice, labels))))
    found.append(Section("Is the image size enough?", tuple(_size(advice.size))))
    return found


def shown(figure: Figure, *, signed: bool = False) -> str:
    """A figure with its interval: `0.953 (0.921 to 0.971)`."""
    form = "+.3f" if signed else ".3f"
    return f"{figure.value:{form}} ({figure.low:{form}} to {figure.high:{form}})"


def _overview(advice: Advice) -> Iterator[str]:
    counts = [f"{count} {name}" for name, count in advice.images.items()]
    yield f"{sum(advice.images.values())} images: {', '.join(counts)}."
    if advice.of_test:
        yield (
            f"{advice.of_test} of them are in test/ and were trained on here: after choices made "
            "by this advice, figures on that test set are no longer independent."
        )
    if advice.skipped:
        first = advice.skipped[0]
        more = f", and {len(advice.skipped) - 1} more" if len(advice.skipped) > 1 else ""
        yield f"Skipped: {first.name} ({first.reason}){more}."
    if advice.labels is not None:
        yield (
            f"Figures are AUROCs on held-out images, of models with the heads of {advice.heads}, "
            f"trained without episodes on at most {MOST_NORMALS} good images at once; brackets "
            "hold 95 % intervals."
        )
    if advice.trained_anomalies is not None:
        yield f"They are for a model trained on {counted(advice.trained_anomalies, 'defect')}."
    yield from advice.notes


def _copies(copies: Sequence[Copy]) -> Iterator[str]:
    if not copies:
        yield "No: no two images have the same pixels or show the same photograph."
        return
    groups = groups_of_copies(copies)
    parts = []
    for where, what in (
        ("good and defect", "with both labels"),
        ("within defects", "of defects"),
        ("within good", "of good images"),
    ):
        number = sum(group.where == where for group in groups)
        parts += [f"{number} {what}"] if number else []
    images = sum(len(group.names) for group in groups)
    yield f"Yes, {counted(images, 'image')} in {counted(len(groups), 'group')}: {joined(parts)}."
    if groups[0].where == "good and defect":
        yield "In a group with both labels, one is wrong: correct it, or remove the image."
    else:
        yield (
            "Copies add nothing to training and make a test look better than it is; here, copies "
            "were held out together."
        )
    for group in groups[:_SHOWN]:
        more = len(group.names) - _SHOWN
        yield f"  {' = '.join(group.names[:_SHOWN])}{f' and {more} more' if more > 0 else ''}"
    if len(groups) > _SHOWN:
        yield f"  and {counted(len(groups) - _SHOWN, 'group')} more (--json lists all pairs)"


def _labels(labels: LabelAdvice) -> Iterator[str]:
    figures = (
        f"{shown(labels.labelled)} with labels, {shown(labels.memory_only)} by good images alone, "
        f"difference {shown(labels.gain, signed=True)}, on {labels.anomalies} defects and "
        f"{labels.normals} good images"
    )
    yield {
        "yes": f"Yes: {figures}.",
        "no": f"No, good images alone do as well: {figures}.",
        "cannot tell": f"Cannot tell from so few images: {figures}.",
    }[labels.verdict]


def _curve(curve: LearningCurve) -> Iterator[str]:
    five = curve.five_more
    if five is None:
        yield "Cannot tell: at least two labelled defects are needed besides the held-out ones."
    else:
        rate = f"{shown(five, signed=True)}, at the rate of the last doubling"
        yield {
            "yes": f"Yes: {rate}.",
            "no": f"Hardly: {rate}; surely less than {WORTH:g}.",
            "cannot tell": f"Cannot tell: {rate}.",
        }[curve.verdict]
    points = ", ".join(f"{point.anomalies}: {point.auroc.value:.3f}" for point in curve.points)
    left_out = ("on kinds not trained on") if curve.left_out == "classes" else "on kinds trained on"
    yield f"AUROC by number of labelled defects, {left_out}: {points}."


def _kinds(curve: LearningCurve) -> Iterator[str]:
    if curve.left_out == "images" or curve.new is None:
        yield "Cannot tell: there is only one class of defects. Give each kind a folder of its own."
        return
    known = "" if curve.known is None else f", on known kinds {shown(curve.known)}"
    price = ""
    if curve.price is not None:
        sure = "" if curve.price.low > 0 else ", which may be chance"
        price = f"; the difference is {shown(curve.price, signed=True)}{sure}"
    yield f"AUROC on kinds not trained on {shown(curve.new)}{known}{price}."
    for kind in curve.kinds:
        beside = "" if kind.known is None else f", known {kind.known.value:.3f}"
        yield f"  {kind.class_name} ({kind.count}): new {kind.new.value:.3f}{beside}"


def _suspects(advice: Advice, labels: LabelAdvice) -> Iterator[str]:
    if not advice.suspects:
        yield "None: every image is more like its own label, by detectors not trained on it."
        return
    total = sum(advice.suspected.values())
    wrong = sum(suspect.looks_wrong for suspect in advice.suspects)
    yield (
        f"{counted(total, 'image')} to look at again, {wrong} of them more like the other label. "
        "A hard image can look like a wrong label."
    )
    if labels.labelled.low < 0.7:
        yield (
            f"With an AUROC of {shown(labels.labelled)} the detectors are often wrong: do not "
            "rely on this list."
        )
    for name, count in advice.suspected.items():
        if name != GOOD and count >= 3 and count >= _HARD_SHARE * advice.images[name]:
            yield (
                f"{count} of the {advice.images[name]} images of {name} are among them: a kind "
                "that is hard to see, rather than wrong labels."
            )
    for suspect in advice.suspects:
        others = (
            "above {:.0%} of the defects"
            if suspect.class_name == GOOD
            else ("below {:.0%} of the good images")
        )
        mark = "looks wrong" if suspect.looks_wrong else "look again"
        yield (f"  {suspect.name} ({suspect.class_name}): {mark}, {others.format(suspect.passed)}")
    if total > len(advice.suspects):
        yield f"  and {total - len(advice.suspects)} more"


def _size(size: SizeAdvice) -> Iterator[str]:
    originals = (
        f"the originals have {in_pixels((size.height, size.width))} (height x width, median), and "
        f"one feature cell covers {size.cell[1]:.0f} x {size.cell[0]:.0f} of their pixels"
    )
    own, larger = in_pixels(size.size), in_pixels(size.larger)
    if not size.originals_larger:
        yield f"Yes: {originals}. A size above {own} would add little detail."
    elif size.gain is None or size.at_size is None or size.at_larger is None:
        yield f"Sizes above {own} were not measured: {originals}."
    else:
        figures = (
            f"{shown(size.at_size)} at {own}, {shown(size.at_larger)} at {larger}, difference "
            f"{shown(size.gain, signed=True)}, on {counted(size.compared, 'image')}"
        )
        yield {
            "yes": f"Yes, a larger size surely gains less than {SMALL:g}: {figures}.",
            "no": f"No, try --image-size {as_option(size.larger)}: {figures}.",
            "cannot tell": f"Cannot tell: {figures}.",
        }[size.verdict]
        yield f"{originals[0].upper()}{originals[1:]}."
    if size.masked is not None:
        yield from _masked(size.masked, own, larger, size.tiles)


def _masked(masked: MaskedDefects, own: str, larger: str, tiles: int) -> Iterator[str]:
    yield (
        f"At {own}, the thickest part of a defect is {masked.thickness:.1f} pixels wide (median "
        f"of {counted(masked.count, 'mask')}). {masked.too_thin} are thinner than {THIN:g} pixels "
        f"at that size, {masked.too_thin_larger} at {larger}."
    )
    if masked.below_cell:
        yield (
            f"{masked.below_cell} of {masked.count} masked defects are smaller than one feature "
            f"cell: {help_for_small_defects(tiles)}."
        )
