"""The check that every section of the config makes of its fields."""

from __future__ import annotations

from ahl._common.errors import ConfigurationError


def require(condition: bool, name: str, value: object, expected: str) -> None:
    """Refuse a value, naming the field and what it must be."""
    if not condition:
        raise ConfigurationError(f"{name} is {value!r}; it must be {expected}.")
