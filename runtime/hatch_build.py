"""The package and the licence lie beside this folder in a checkout, and inside it in an sdist."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class SharedSources(BuildHookInterface):
    """Takes the sources of `ahl` into the distribution `ahl-runtime`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Say where the files are, and where they go."""
        if version == "editable":
            raise RuntimeError("ahl-runtime cannot be editable: its sources belong to ahl.")
        here = Path(self.root)
        top = here if (here / "src").is_dir() else here.parent
        wheel = self.target_name == "wheel"
        build_data["force_include"] |= {
            str(top / "src" / "ahl"): "ahl" if wheel else "src/ahl",
            str(top / "LICENSE"): "ahl/LICENSE" if wheel else "LICENSE",
        }
