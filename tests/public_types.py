"""Check with basedpyright that the types of all that `ahl` exports are known; `make types`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import ahl

UNTYPED = {"ahl.AHL", "ahl.estimator.AHL"}
"""Classes whose bases come without types: scikit-learn's."""


def main() -> int:
    """Print what a type checker cannot know of; the exit status."""
    here = Path(sys.executable).parent
    command = [here / "basedpyright", "--verifytypes", "ahl", "--ignoreexternal", "--outputjson"]
    places = {**os.environ, "PATH": f"{here}{os.pathsep}{os.environ['PATH']}"}  # of packages
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=places).stdout
    public = {
        f"{one.__module__}.{one.__qualname__}"
        for one in (getattr(ahl, name) for name in ahl.__all__)
        if hasattr(one, "__qualname__")
    }
    symbols = json.loads(answer)["typeCompleteness"]["symbols"]
    exported = {f"ahl.{name}" for name in ahl.__all__ if name != "__version__"}
    missing = sorted(exported - {symbol["name"] for symbol in symbols})
    unknown = [f"{name}: basedpyright did not examine it" for name in missing]
    unknown += [
        f"{symbol['name']}: {symbol['diagnostics'][0]['message']}"
        for symbol in symbols
        if not symbol["isTypeKnown"] and symbol["name"] not in UNTYPED
        if any(f"{symbol['name']}.".startswith(f"{name}.") for name in public | exported)
    ]
    print("\n".join(unknown) or f"All types are known: {len(ahl.__all__)} public names.")
    return bool(unknown)


if __name__ == "__main__":
    sys.exit(main())
