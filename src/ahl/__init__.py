"""Open-set supervised anomaly detection for images.

The public map: `AHL` trains and scores; everything else is found in the module named after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ahl._common.version import __version__

if TYPE_CHECKING:
    from ahl.estimator import AHL

__all__ = ["AHL", "__version__"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - module attributes are of any type
    """Import the detector when it is asked for: torch takes seconds, `ahl --help` must not."""
    if name == "AHL":
        from ahl.estimator import AHL

        return AHL
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
