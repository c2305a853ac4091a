"""What to say of a log that cannot be had, or fails."""

from __future__ import annotations

from ahl._common.errors import ConfigurationError

LONGEST_REASON = 200
"""Characters told of an error: those of servers can fill a screen."""


def not_installed(package: str, extra: str) -> ConfigurationError:
    """The error to raise where the package that an extra brings is missing."""
    return ConfigurationError(
        f'{package} is not installed; run: pip install "ahl[{extra}]" (or: pip install {extra}).'
    )


def reason_of(error: Exception) -> str:
    """The first line of an error, cut short."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}..."
