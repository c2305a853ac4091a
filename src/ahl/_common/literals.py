"""Values as people write them: on a command line, in a specification, in a record."""

from __future__ import annotations

import ast
from typing import Any


def literal(text: str) -> Any:  # noqa: ANN401 - any Python literal
    """Read a number, bool, None, tuple... or take the text as it is, without blanks around it."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text.strip()
