"""All reliability runs in turn: floods, malformed files and requests, kills, load.

    python benchmarks/reliability/hostile.py
    python benchmarks/reliability/hostile.py --share 0.05

`--share` scales the counts and times of docs/reliability.md. The exit status is 1 if anything was
lost, wrong, half-written, crashed or hung.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
from pathlib import Path

from common import export, train


def runs(share: float, model: Path, exported: Path) -> dict[str, list[object]]:
    """Arguments of each script."""

    def part(whole: float) -> int:
        return math.ceil(share * whole)

    images, models, requests = (part(one) for one in (5000, 3000, 2000))
    return {
        "floods": ["--model", exported, "--seconds", max(2.0, 10 * share)],
        "malformed": [
            *("--images", images, "--models", models, "--requests", requests),
            *("--slow", part(20), "--model", model, exported),
        ],
        "kills": ["--trials", part(10)],
        "load": ["--minutes", 10 * share, "--model", exported],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--share", type=float, default=1.0, help="of the counts and times")
    share = parser.parse_args().share
    failed = []
    with tempfile.TemporaryDirectory() as name:
        model = train(Path(name))
        for script, arguments in runs(share, model, export(model)).items():
            path = Path(__file__).with_name(f"{script}.py")
            print(f"{script}:", flush=True)
            command = [sys.executable, str(path), *map(str, arguments)]
            if subprocess.run(command, check=False).returncode:
                failed.append(script)
    print(f"Faults were found by {', '.join(failed)}." if failed else "No fault was found.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
