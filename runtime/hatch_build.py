"""Build hook that packs the sources of `ahl` into the distribution `ahl-runtime`.

The package and the licence lie beside this folder in a checkout, and inside it in an sdist.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class SharedSources(BuildHookInterface):
    """Adds the sources of `ahl` and its licence to the distribution."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Set which files are included, and their paths in the distribution.

        Raises:
            RuntimeError: if an editable install is asked for.
        """
        if version == "editable":
            raise RuntimeError("ahl-runtime cannot be editable: its sources belong to ahl.")
        here = Path(self.root)
        top = here if (here / "src").is_dir() else here.parent
        wheel = self.target_name == "wheel"
        build_data["force_include"] |= {
            str(top / "src" / "ahl"): "ahl" if wheel else "src/ahl",
            str(top / "LICENSE"): "ahl/LICENSE" if wheel else "LICENSE",
        }
