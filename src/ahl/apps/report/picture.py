"""One picture of an evaluation: every score by class, and the worst mistakes to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ahl._common.types import ScoredSample
from ahl.apps.report.ranking import (
    Group,
    Mistake,
    group,
    kind_of,
    line_of_normals,
    separation,
    share,
    usable,
    worst_false_alarms,
    worst_misses,
)
from ahl.apps.report.sheet import INK, MUTED, RULE, SHADE, Sheet
from ahl.apps.report.strip import Axis, make_axis, short_number, swarm
from ahl.apps.report.thumbnails import read_tile

_WIDTH: Final = 1600
_EDGE: Final = 64
_STRIP: Final = (348, 1206)
"""Left and right end of the strips; class names stand before, figures after."""

_COLUMNS: Final = (1290, 1400, 1536)
"""Right ends of the columns images, AUROC, above the line."""

_TILES: Final = 6
_GAP: Final = 20
_TILE: Final = (_WIDTH - 2 * _EDGE - (_TILES - 1) * _GAP) // _TILES

# Okabe and Ito's blue and vermilion differ for every kind of colour vision; the marker says
# it a second time.
_COLOURS: Final = {"normal": "#6b7785", "seen": "#0072b2", "unseen": "#d55e00"}
_MARKERS: Final = {"normal": "o", "seen": "o", "unseen": "D"}
_HEADINGS: Final = {
    "normal": "NORMAL",
    "seen": "SEEN IN TRAINING",
    "unseen": "NEVER SEEN IN TRAINING",
}

_HEAD: Final = 292
_HEADING: Final = 34
_FOOT: Final = 84
_MISTAKES: Final = 86 + _TILE + 100
_NO_MISTAKES: Final = 140


def draw_picture(
    scored: Sequence[ScoredSample],
    output: Path,
    *,
    title: str,
    subtitle: str = "",
    threshold: float | None = None,
) -> None:
    """Draw the scores of an evaluation and its worst misses and false alarms as a PNG.

    Above, one strip per class with every image as a dot: normal, then seen, then unseen
    classes. Below, the anomalies that rank lowest and the normal images that rank highest.
    Images without a finite score are left out and counted. The picture is 1600 pixels wide;
    its height grows with the number of classes. Same input, same bytes, whatever the order.

    Args:
        scored: test images with scores on any scale; may lack a kind, or be empty.
        output: the PNG to write, replaced at once when it is complete; its folder is made.
        title: first line.
        subtitle: second line, for instance the model and the data.
        threshold: score above which the model calls an image anomalous; None draws a line that at
            most 5 % of the normal images exceed instead.
    """
    finite = usable(scored)
    groups = group(finite)
    kinds = {one.kind for one in groups}
    strips = sum(_row_height(one) for one in groups) + _HEADING * len(kinds)
    misses, alarms = worst_misses(finite, _TILES), worst_false_alarms(finite, _TILES)
    rows = (_MISTAKES if misses else _NO_MISTAKES, _MISTAKES if alarms else _NO_MISTAKES)
    height = _HEAD + strips + _FOOT + sum(rows)
    sheet = Sheet(_WIDTH, height)
    room = _WIDTH - 2 * _EDGE
    sheet.text(_EDGE, 78, title, size=34, bold=True, room=room)
    sheet.text(_EDGE, 110, subtitle, size=17, colour=MUTED, room=room)
    _draw_figures(sheet, finite, left_out=len(scored) - len(finite))
    _draw_strips(sheet, groups, threshold, top=_HEAD)
    top = _HEAD + strips + _FOOT
    _draw_mistakes(
        sheet,
        top,
        "Worst misses",
        "the anomalies with the lowest scores",
        misses,
        nothing="There are no anomalies among these images.",
    )
    _draw_mistakes(
        sheet,
        top + rows[0],
        "Worst false alarms",
        "the normal images with the highest scores",
        alarms,
        nothing="There are no normal images among these.",
    )
    sheet.save(output)


def _draw_figures(sheet: Sheet, finite: Sequence[ScoredSample], *, left_out: int) -> None:
    """Three AUROC values, each with a sentence on what it was measured on."""
    normals = [one for one in finite if not one.sample.is_anomaly]
    anomalies = [one for one in finite if one.sample.is_anomaly]
    seen = [one for one in anomalies if kind_of(one) == "seen"]
    unseen = [one for one in anomalies if kind_of(one) == "unseen"]
    blocks = (
        ("Seen classes", seen, _COLOURS["seen"]),
        ("Unseen classes", unseen, _COLOURS["unseen"]),
        ("All anomalies", anomalies, INK),
    )
    for index, (name, some, colour) in enumerate(blocks):
        x = _EDGE + index * 372
        value = separation(normals, some)
        sheet.rectangle(x, 146, 4, 78, colour)
        sheet.text(x + 18, 184, _three_digits(value), size=42, bold=True, colour=colour)
        sheet.text(x + 160, 167, name, size=17, bold=True)
        sheet.text(x + 160, 187, f"AUROC, {_count(len(some), 'image')}", size=14, colour=MUTED)
        sheet.text(x + 18, 221, _odds(value), size=14, colour=MUTED)
    counts = f"{_count(len(normals), 'normal image')}, {_count(len(anomalies), 'anomaly')}"
    sheet.text(_COLUMNS[-1], 167, counts, size=15, colour=MUTED, align="right")
    if left_out:
        note = f"{_count(left_out, 'image')} without a finite score left out"
        sheet.text(_COLUMNS[-1], 190, note, size=15, colour=MUTED, align="right")


def _draw_strips(
    sheet: Sheet, groups: Sequence[Group], threshold: float | None, *, top: int
) -> None:
    """One strip per class on a common axis, with the figures of the class beside it."""
    everyone = [one for some in groups for one in some.samples]
    marks = [] if threshold is None else [threshold]
    axis = make_axis([*(one.score for one in everyone), *marks])
    line = line_of_normals(everyone) if threshold is None else threshold
    if not everyone:
        sheet.text(_EDGE, top + 20, "No scored images.", colour=MUTED)
        return
    for end, words in zip(_COLUMNS, ("images", "AUROC", "above line"), strict=True):
        sheet.text(end, top - 8, words, size=14, colour=MUTED, align="right")
    y: float = top
    for index, some in enumerate(groups):
        if index == 0 or groups[index - 1].kind != some.kind:
            words, colour = _HEADINGS[some.kind], _COLOURS[some.kind]
            sheet.text(_EDGE, y + 24, words, size=13, colour=colour, bold=True)
            y += _HEADING
        _draw_row(sheet, some, axis, line, y)
        y += _row_height(some)
    left, right = _STRIP
    sheet.line((left, right), (y + 6, y + 6))
    for place, label in axis.ticks():
        x = left + place * (right - left)
        sheet.line((x, x), (y + 6, y + 12))
        sheet.text(x, y + 30, label, size=14, colour=MUTED, align="center")
    scale = "anomaly score, far ends compressed" if axis.compressed else "anomaly score"
    sheet.text((left + right) / 2, y + 56, f"{scale}  →", size=15, colour=MUTED, align="center")
    if line is not None:
        x = left + float(axis.place(line)) * (right - left)
        sheet.line((x, x), (top + 6, y + 6), colour=INK, dashed=True)
        words = "the model's threshold"
        if threshold is None:
            words = "at most 5 % of normal images lie above this line"
        half = sheet.measure(words, size=14) / 2
        x = min(max(x, left + half), right - half)  # off the headings of the columns
        sheet.text(x, top - 8, words, size=14, align="center")


def _draw_row(sheet: Sheet, some: Group, axis: Axis, line: float | None, y: float) -> None:
    height = _row_height(some)
    middle, base = y + height / 2, y + height / 2 + 6
    left, right = _STRIP
    colour = _COLOURS[some.kind]
    sheet.rectangle(left, y + 1, right - left, height - 2, SHADE)
    sheet.text(_EDGE, base, some.name, size=17, room=left - _EDGE - 20)
    scores = [one.score for one in some.samples]
    dot = 8.0 if len(scores) <= 200 else 5.0
    places = left + axis.place(scores) * (right - left)
    offsets = swarm(places, dot, height - 6)
    sheet.dots(
        places,
        middle + offsets,
        colour=colour,
        size=dot if _MARKERS[some.kind] == "o" else 0.85 * dot,
        alpha=0.75 if len(scores) <= 1000 else 0.4,
        marker=_MARKERS[some.kind],
    )
    figures = [f"{len(scores):,}", "" if some.kind == "normal" else _three_digits(some.auroc), ""]
    if line is not None:
        figures[2] = share(sum(score > line for score in scores), len(scores))
    for x, words in zip(_COLUMNS, figures, strict=True):
        sheet.text(x, base, words, size=16, align="right", bold=x == _COLUMNS[1])


def _draw_mistakes(
    sheet: Sheet, top: int, heading: str, words: str, mistakes: Sequence[Mistake], *, nothing: str
) -> None:
    """A row of thumbnails with class, score and standing below each."""
    sheet.line((_EDGE, _WIDTH - _EDGE), (top, top), colour=RULE)
    sheet.text(_EDGE, top + 46, heading, size=22, bold=True)
    indent = sheet.measure(heading, size=22, bold=True) + 16
    sheet.text(_EDGE + indent, top + 46, words, size=16, colour=MUTED)
    if not mistakes:
        sheet.text(_EDGE, top + 90, nothing, size=16, colour=MUTED)
    for index, mistake in enumerate(mistakes):
        x, y = _EDGE + index * (_TILE + _GAP), top + 70
        scored, kind = mistake.scored, kind_of(mistake.scored)
        pixels, readable = read_tile(scored.sample.source, _TILE)
        sheet.picture(x, y, pixels)
        if not readable:
            place = (x + _TILE / 2, y + _TILE / 2)
            sheet.text(*place, "cannot be read", size=14, colour=MUTED, align="center")
        sheet.rectangle(x, y + _TILE, _TILE, 4, _COLOURS[kind])
        name = scored.sample.name if kind == "normal" else scored.sample.class_name
        below = y + _TILE + 27
        sheet.text(x, below, name, size=16, bold=True, room=_TILE)
        score = f"score {short_number(scored.score)}"
        lines = [score, mistake.standing]
        if kind != "normal":
            lines = [f"{kind} class, {score}", mistake.standing, scored.sample.name]
        for number, line in enumerate(lines, start=1):
            sheet.text(x, below + 20 * number, line, size=14, colour=MUTED, room=_TILE)


def _row_height(some: Group) -> int:
    """Crowded strips are higher."""
    return 34 if len(some.samples) <= 40 else 52 if len(some.samples) <= 400 else 76


def _three_digits(value: float | None) -> str:
    """0.9996 must not read as a perfect 1.000."""
    if value is None:
        return "n/a"
    return f"{min(value, 0.999):.3f}" if value < 1 else "1.000"


def _odds(value: float | None) -> str:
    if value is None:
        return "nothing to compare"
    return f"outscore a normal image {share(round(value * 10_000), 10_000)} of the time"


def _count(number: int, noun: str) -> str:
    plural = {"anomaly": "anomalies"}.get(noun, noun + "s")
    return f"{number:,} {noun if number == 1 else plural}"
