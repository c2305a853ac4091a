"""Text for people: plurals, lists, figures, single-line names and literals."""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from typing import Any, Final

_MOST_LISTED: Final = 6
_LONGEST: Final = 200  # characters of a line of an error
_OF_ONE: Final = {"are": "is", "were": "was", "have": "has"}


def counted(number: int, noun: str, verb: str = "") -> str:
    """Number and noun, and the verb that agrees: `1 image was`, `3,000 anomalies were`."""
    if number == 1:
        return f"1 {noun} {_OF_ONE[verb]}" if verb else f"1 {noun}"
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {plural} {verb}".rstrip()


def listed(names: Sequence[object]) -> str:
    """The first six names, comma-separated, and the number of others: `a, b and 3 more`."""
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return ", ".join(printable(str(name)) for name in names[:_MOST_LISTED]) + more


def joined(words: Sequence[str]) -> str:
    """The words as a list in a sentence: `a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def digits(value: float | None, places: int = 3) -> str:
    """The number with `places` decimals, a dash for None and NaN; 0.9996 becomes 0.999."""
    if value is None or math.isnan(value):
        return "-"
    return f"{min(value, 1 - 10**-places) if value < 1 else value:.{places}f}"


def megabytes(size: int) -> str:
    """A size in bytes as `12.3 MB`."""
    return f"{size / 1e6:.1f} MB"


def printable(words: str, instead: str = "\N{REPLACEMENT CHARACTER}") -> str:
    """The words on one line: control characters and lone surrogates are replaced."""
    return "".join(letter if letter.isprintable() else instead for letter in words)


def short(words: str, most: int = _LONGEST) -> str:
    """The words as `printable`, cut off with `...` after `most` characters."""
    return printable(words if len(words) <= most else f"{words[:most]}...")


def first_line(error: BaseException) -> str:
    """The first line of an error's message, for use in a sentence; its class if it has none."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    line = printable(text.strip().partition("\n")[0].strip(), "?").rstrip(" .:")
    return short(line or type(error).__name__)


def literal(text: str) -> Any:  # noqa: ANN401 - any Python literal
    """Parse a Python literal (number, bool, None, tuple...); other text is stripped."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text.strip()
