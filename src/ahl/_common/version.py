"""The package's version, which hatchling reads from here."""

from __future__ import annotations

__version__ = "0.2.0"
