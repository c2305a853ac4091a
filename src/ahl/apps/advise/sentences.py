"""The advice in plain sentences, each with the figures behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ahl._common.text import counted
from ahl._common.types import GOOD
from ahl.apps.advise.advising import Advice
from ahl.apps.advise.figures import SMALL, Figure
from ahl.apps.advise.image_size import THIN, MaskedDefects, SizeAdvice
from ahl.apps.advise.labels import MORE, WORTH, LabelAdvice, LearningCurve
from ahl.apps.advise.trials import MOST_NORMALS
from ahl.config.image_size import as_option, in_pixels
from ahl.data.copies import Copy
from ahl.data.masks import help_for_small_defects

_SHOWN_COPIES = 10
_HARD_SHARE = 0.2  # of a class among the suspects: it is hard, not mislabelled

_STAND_IN = {
    "devnet": "DevNet alone, with the memory and the calibration (with ten labelled defects it is "
    "within 0.004 of the full training on HeadCT, SDD and ELPV; with one, up to 0.021 below)",
    "dra": "DRA alone, with the memory and the calibration (with ten labelled defects it is within "
    "0.002 of the full training on HeadCT, SDD and ELPV; with one, up to 0.021 below)",
}


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
    """All questions that were asked, in the order of their weight."""
    labels, curve = advice.labels, advice.curve
    found = [
        Section("What was looked at", tuple(_overview(advice))),
        Section("Is any image there twice?", tuple(_copies(advice.copies))),
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
            f"{advice.of_test} of them are in test/, and train here: figures on that test are no "
            "longer blind to what is chosen by this advice."
        )
    if advice.skipped:
        first = advice.skipped[0]
        more = f", and {len(advice.skipped) - 1} more" if len(advice.skipped) > 1 else ""
        yield f"Skipped: {first.name} ({first.reason}){more}."
    if advice.labels is not None:
        stand_in = _STAND_IN.get(advice.heads, f"{advice.heads} alone, with memory and calibration")
        yield (
            f"Figures are of a stand-in for the full training, on at most {MOST_NORMALS} good "
            f"images at once: {stand_in}. Brackets hold 95 % intervals: where the figure would lie "
            "on many more images of these kinds."
        )
    yield from advice.notes


def _copies(copies: Sequence[Copy]) -> Iterator[str]:
    if not copies:
        yield "No: no two images have the same pixels or show the same photograph."
        return
    parts = []
    for where, what in (
        ("good and defect", "once as good and once as a defect"),
        ("within defects", "among the defects"),
        ("within good", f"among {GOOD}"),
    ):
        exact = [copy.exact for copy in copies if copy.where == where]
        if exact:
            anew = len(exact) - sum(exact)
            parts.append(f"{len(exact)} {what} ({sum(exact)} exact, {anew} saved anew)")
    yield f"Yes, {counted(len(copies), 'pair')}: {'; '.join(parts)}."
    if any(copy.where == "good and defect" for copy in copies):
        yield "One label of each pair that is good and a defect is wrong: correct or remove it."
    else:
        yield (
            "Copies add nothing, and a test on the copy of a training image flatters; here they "
            "were left out together."
        )
    for copy in copies[:_SHOWN_COPIES]:
        how = "same pixels" if copy.exact else f"likeness {copy.likeness:.3f}"
        yield f"  {copy.one} = {copy.other} ({how})"
    if len(copies) > _SHOWN_COPIES:
        yield f"  and {len(copies) - _SHOWN_COPIES} more (--json lists all)"


def _labels(labels: LabelAdvice) -> Iterator[str]:
    figures = (
        f"on {labels.anomalies} left-out defects and {labels.normals} left-out good images, AUROC "
        f"is {shown(labels.labelled)} with labels, {shown(labels.memory_only)} by the distance "
        f"from good images alone, difference {shown(labels.gain, signed=True)}"
    )
    yield {
        "yes": f"Yes: {figures}.",
        "no": f"No, good images alone do as well: {figures}.",
        "cannot tell": f"Cannot tell: {figures}. More left-out images would be needed.",
    }[labels.verdict]


def _curve(curve: LearningCurve) -> Iterator[str]:
    five, doubling = curve.five_more, curve.doubling
    if five is None or doubling is None:
        yield "Cannot tell: two labelled defects beside the left-out ones are the least."
    else:
        rate = (
            f"twice the labels brought AUROC {shown(doubling, signed=True)} at the end of the "
            f"curve, and {MORE} more would bring {shown(five, signed=True)} at that rate"
        )
        yield {
            "yes": f"Yes: {rate}.",
            "no": f"Hardly: {rate}, which is surely less than {WORTH:g}.",
            "cannot tell": f"Cannot tell: {rate}.",
        }[curve.verdict]
    for point in curve.points:
        what = f"{point.anomalies} labelled" if point.anomalies else "good images alone"
        yield f"  {what:>18}: {shown(point.auroc)}, {counted(point.trainings, 'training')}"
    if curve.left_out == "classes":
        yield "Each detector was tested on a class of which it had seen no image."
    else:
        yield (
            "There is one class of defects, so images of it were left out, not classes: this is "
            "the curve for known kinds."
        )


def _kinds(curve: LearningCurve) -> Iterator[str]:
    if curve.left_out == "images" or curve.new is None:
        yield (
            "Cannot tell: there is one class of defects. Sort them into a folder for each kind, "
            "where there are several."
        )
        return
    known = "" if curve.known is None else f", as known kinds {shown(curve.known)}"
    price = ""
    if curve.price is not None:
        sure = "" if curve.price.low > 0 else ", which may be chance"
        price = f"; known less new is {shown(curve.price, signed=True)}{sure}"
    yield f"Found as kinds never shown, AUROC is {shown(curve.new)}{known}{price}."
    for kind in curve.kinds:
        beside = "" if kind.known is None else f", known {shown(kind.known)}"
        yield f"  {kind.class_name} ({kind.count}): new {shown(kind.new)}{beside}"


def _suspects(advice: Advice, labels: LabelAdvice) -> Iterator[str]:
    if not advice.suspects:
        yield "None: every image is more like its own label, by detectors that left it out."
        return
    total = sum(advice.suspected.values())
    wrong = sum(suspect.looks_wrong for suspect in advice.suspects)
    yield (
        f"{counted(total, 'image')} to look at again; of those listed, {wrong} more like the other "
        "label than like its own. A hard image looks the same as a wrong label: look "
        "before you change any."
    )
    if labels.labelled.low < 0.7:
        yield (
            f"With an AUROC of {shown(labels.labelled)} the detectors are often wrong themselves: "
            "this list means little."
        )
    for name, count in advice.suspected.items():
        if name != GOOD and count >= 3 and count >= _HARD_SHARE * advice.images[name]:
            yield (
                f"{count} of the {advice.images[name]} images of {name} are among them: this kind "
                "is hardly seen by the model, which is likelier than so many wrong labels."
            )
    for suspect in advice.suspects:
        share = f"{suspect.passed:.0%}"
        what = (
            f"labelled {GOOD}, scores above {share} of the left-out defects"
            if suspect.class_name == GOOD
            else f"labelled {suspect.class_name}, scores below {share} of the left-out good images"
        )
        mark = "looks wrong" if suspect.looks_wrong else "look again"
        views = " and ".join(f"{view:.0%}" for view in suspect.views)
        yield f"  {suspect.name}: {what} (two detectors: {views}); {mark}"
    if total > len(advice.suspects):
        yield f"  and {total - len(advice.suspects)} more"


def _size(size: SizeAdvice) -> Iterator[str]:
    cell = f"one feature cell stands for {size.cell[1]:.0f} x {size.cell[0]:.0f} of them"
    originals = (
        f"the originals have {in_pixels((size.height, size.width))} (height x width, median), and "
        f"{cell}"
    )
    own, larger = in_pixels(size.size), in_pixels(size.larger)
    if not size.originals_larger:
        yield f"Yes: {originals}. A size above {own} would show little that they hold."
    elif size.gain is None or size.at_size is None or size.at_larger is None:
        yield f"Not measured at a larger size than {own}: {originals}."
    else:
        figures = (
            f"on {size.compared} images AUROC is {shown(size.at_size)} at {own} and "
            f"{shown(size.at_larger)} at {larger}, difference {shown(size.gain, signed=True)}"
        )
        yield {
            "yes": f"Yes, a larger one brings surely less than {SMALL:g}: {figures}.",
            "no": f"No, try --image-size {as_option(size.larger)}: {figures}.",
            "cannot tell": f"Cannot tell: {figures}.",
        }[size.verdict]
        yield f"{originals[0].upper()}{originals[1:]}."
    if size.masked is None:
        yield "There are no masks, so the defects' own sizes are not known."
    else:
        yield from _masked(size.masked, own, larger, size.tiles)


def _masked(masked: MaskedDefects, own: str, larger: str, tiles: int) -> Iterator[str]:
    yield (
        f"By {counted(masked.count, 'mask')}, a defect's widest place is {masked.thickness:.1f} "
        f"pixels at {own} (median; a tenth are below {masked.thinnest:.1f}). "
        f"{masked.too_thin} are thinner than {THIN:g} pixels there, {masked.too_thin_larger} at "
        f"{larger}."
    )
    if masked.below_cell:
        yield (
            f"{masked.below_cell} of {masked.count} masked defects are smaller than one feature "
            f"cell: {help_for_small_defects(tiles)}."
        )
