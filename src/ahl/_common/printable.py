"""Text of others, names of files above all, as one line that a screen shows as it is."""

from __future__ import annotations


def printable(words: str, instead: str = "\N{REPLACEMENT CHARACTER}") -> str:
    """The words without control characters, which could move a cursor, or halves of broken names.

    Args:
        words: of whatever origin.
        instead: what stands for each of these.
    """
    return "".join(letter if letter.isprintable() else instead for letter in words)
