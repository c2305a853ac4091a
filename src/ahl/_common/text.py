"""Text for people: plurals, figures, names as one line, and values as people write them."""

from __future__ import annotations

import ast
from typing import Any, Final

_LONGEST: Final = 200  # characters of a line of an error


def counted(number: int, noun: str) -> str:
    """`1 image`, `3 anomalies`."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def figure(value: float | None) -> str:
    """Three digits, or a dash."""
    return "-" if value is None else f"{value:.3f}"


def printable(words: str, instead: str = "\N{REPLACEMENT CHARACTER}") -> str:
    """The words on one line: control characters, and halves of broken names, are replaced."""
    return "".join(letter if letter.isprintable() else instead for letter in words)


def first_line(error: BaseException) -> str:
    """The first line of an error's message, to stand in a sentence; its kind if it has none."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    line = printable(text.strip().partition("\n")[0].strip(), "?").rstrip(" .:")
    line = line or type(error).__name__
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def literal(text: str) -> Any:  # noqa: ANN401 - any Python literal
    """A number, bool, None, tuple, ...; other text as it is, without blanks around it."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text.strip()
