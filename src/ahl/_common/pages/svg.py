"""Matplotlib figures as SVG to embed in HTML pages; the same figure gives the same bytes."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree

from ahl._common.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_SVG = "http://www.w3.org/2000/svg"
_LINK = "http://www.w3.org/1999/xlink"

INK: Final = "#1f2933"
MUTED: Final = "#66717e"
RULE: Final = "#d5dae0"
OURS: Final = "#0072b2"
OTHER: Final = "#9fb4c7"
PAPER: Final = "#d55e00"
GROUND: Final = "#fefefe"
NORMAL: Final = "#6b7785"
UNSEEN: Final = "#d45d00"
SHADE: Final = "#e9edf1"
"""Our colours: distinguishable with colour blindness, and dark from light in grey."""

LINES: Final = (
    "#0071b2",
    "#b84c00",
    "#00805d",
    "#a8488a",
    "#7a5c00",
    "#3b5bdb",
    "#5f6b77",
    "#8a2f2f",
)
"""Colours of a plot's lines, in this order; further lines differ by dashes."""

THEMED: Final = {
    INK: "plot-ink",
    MUTED: "plot-muted",
    RULE: "plot-rule",
    OURS: "plot-ours",
    OTHER: "plot-other",
    GROUND: "plot-ground",
    NORMAL: "plot-normal",
    UNSEEN: "plot-unseen",
    SHADE: "plot-shade",
    **{colour: f"plot-line-{number}" for number, colour in enumerate(LINES, start=1)},
}
"""CSS variables by which a page may replace each colour, for dark mode, say."""

WIDTH: Final = 3.9
"""Width of every plot in inches, narrow enough for a phone."""


@contextlib.contextmanager
def new_figure(height: float) -> Iterator[Figure]:
    """Yield a figure with matplotlib's defaults instead of the user's style.

    Call `to_svg` within the block.

    Args:
        height: in inches.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(), warnings.catch_warnings():
        # A letter that the font lacks is the reader's font's to show; that is no reason to fail.
        warnings.simplefilter("ignore", UserWarning)
        mpl.rcdefaults()
        mpl.rcParams.update(
            {
                "font.family": ["DejaVu Sans"],
                "font.size": 8.0,
                "svg.fonttype": "none",  # text stays text: found, read aloud, small
                "svg.hashsalt": "ahl",
                "axes.spines.top": False,
                "axes.spines.right": False,
            }
        )
        figure = Figure(figsize=(WIDTH, height))
        FigureCanvasSVG(figure)
        figure.patch.set_alpha(0.0)
        yield figure


def to_svg(figure: Figure, *, name: str, title: str, description: str) -> str:
    """Return the figure as an `<svg>` element without prolog, external links or date.

    Args:
        figure: made by `new_figure`.
        name: prefix of its ids, unique on the page.
        title: its title, for screen readers.
        description: its content in words, for screen readers.
    """
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    root = ElementTree.fromstring(text.getvalue())
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _LINK)
    for metadata in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(metadata)
    for definitions in root.findall(f"{{{_SVG}}}defs"):
        if definitions.find(f"{{{_SVG}}}style") is not None:  # would hold for the whole page
            root.remove(definitions)
    root.set("style", "stroke-linejoin: round; stroke-linecap: butt")
    for element in root.iter():
        for attribute, value in list(element.attrib.items()):
            if attribute == "id":
                element.set(attribute, f"{name}-{value}")
            elif attribute == f"{{{_LINK}}}href":
                element.set(attribute, value.replace("#", f"#{name}-", 1))
            elif "url(#" in value:
                element.set(attribute, value.replace("url(#", f"url(#{name}-"))
        _theme(element)
    for attribute in ("width", "height"):
        del root.attrib[attribute]
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-words")
    for place, (tag, end, words) in enumerate(
        (("title", "title", title), ("desc", "words", description))
    ):
        element = ElementTree.Element(f"{{{_SVG}}}{tag}", {"id": f"{name}-{end}"})
        element.text = printable(words)
        root.insert(place, element)
    return ElementTree.tostring(root, encoding="unicode")


def _theme(element: ElementTree.Element) -> None:
    """Make colours CSS variables of the page, and add the reader's fonts as a fallback."""
    style = element.get("style", "")
    for attribute in ("fill", "stroke"):  # a variable is only sure to work in a style
        if element.get(attribute) in THEMED:
            style = f"{attribute}: {element.attrib.pop(attribute)}; {style}"
    for colour, variable in THEMED.items():
        style = style.replace(colour, f"var(--{variable}, {colour})")
    if style:
        style = style.replace("'DejaVu Sans'", "'DejaVu Sans', system-ui, sans-serif")
        element.set("style", style.strip())


def add_axes(figure: Figure, height: float, *, top: float, bottom: float, left: float = 0.1) -> Any:  # noqa: ANN401 - matplotlib is untyped
    """Add axes with margins in inches.

    Args:
        figure: from `new_figure`.
        height: the figure's height in inches.
        top: margin in inches.
        bottom: margin in inches.
        left: margin in inches.
    """
    width = WIDTH - left - 0.2
    axes: Any = figure.add_axes(
        (left / WIDTH, bottom / height, width / WIDTH, (height - top - bottom) / height)
    )
    axes.patch.set_alpha(0.0)
    axes.tick_params(colors=MUTED, length=3)
    for spine in axes.spines.values():
        spine.set_color(RULE)
    return axes


def add_rows(figure: Figure, height: float, rows: int, *, top: float, bottom: float) -> Any:  # noqa: ANN401
    """Add axes for `rows` rows, row 0 on top; the other arguments are those of `add_axes`."""
    axes = add_axes(figure, height, top=top, bottom=bottom)
    axes.set(ylim=(rows, 0), yticks=[])
    axes.spines["left"].set_visible(False)
    return axes


def label_row(axes: Any, place: float, name: str, figure: str, weight: str = "normal") -> None:  # noqa: ANN401
    """Write a row's name at the left and its figure at the right, both above `place`."""
    style = {"color": INK, "va": "bottom", "fontweight": weight, "parse_math": False}
    across = axes.get_yaxis_transform()
    axes.text(0, place, name, transform=across, **style)
    axes.text(1, place, figure, transform=across, ha="right", **style)


def add_legend(axes: Any, columns: int = 1) -> None:  # noqa: ANN401 - matplotlib is untyped
    """Add a legend below the axes; its names are not parsed as formulas."""
    legend = axes.legend(
        loc="upper left",
        bbox_to_anchor=(0, -0.24),
        ncols=columns,
        frameon=False,
        borderaxespad=0,
        labelcolor=INK,
        handlelength=2.2,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def shortened(text: str, longest: int) -> str:
    """The text, with its middle elided if it is longer than `longest` characters."""
    if len(text) <= longest:
        return text
    tail = longest // 2
    return f"{text[: longest - tail - 1]}…{text[-tail:]}"
