"""What to say of a package that an extra brings."""

from __future__ import annotations

from ahl.errors import ConfigurationError


def not_installed(package: str, extra: str) -> ConfigurationError:
    """The error to raise."""
    return ConfigurationError(
        f'{package} is not installed; run: pip install "ahl[{extra}]" (or: pip install {extra}).'
    )
