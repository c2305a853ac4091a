"""What a runtime says of its own failures, short enough for a message of ours."""

from __future__ import annotations

from typing import Final

_LONGEST: Final = 200  # characters


def first_line(error: Exception) -> str:
    """The first line of an error that says something, cut; else its kind."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:_LONGEST] if lines else type(error).__name__
