"""Known vulnerabilities of the pinned dependencies, by pip-audit (pip install pip-audit).

    python benchmarks/reliability/audit.py

The exit status is 1 if there are any, and 3 if some package could not be looked up: pip-audit by
itself then prints "No known vulnerabilities found", even if it reached no database at all.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PINNED = Path(__file__).parents[2] / "constraints.txt"
NOT_LOOKED_UP = 3


def verdict(printed: str, said: str) -> tuple[int, str]:
    """Exit status and message for pip-audit's JSON and what it wrote to standard error."""
    try:
        packages = json.loads(printed)["dependencies"]
    except ValueError:
        reason = said.strip().splitlines()[-1:] or ["it gave no reason"]
        return NOT_LOOKED_UP, f"Nothing was audited: pip-audit reached no database ({reason[0]})."
    found = [
        f"{one['name']} {one['version']}: {flaw['id']}, mended in {flaw['fix_versions'] or 'none'}"
        for one in packages
        for flaw in one.get("vulns", [])
    ]
    skipped = [one["name"] for one in packages if "skip_reason" in one]
    audited = len(packages) - len(skipped)
    lines = [*found, f"{audited} of {len(packages)} packages were audited."]
    if skipped:
        lines.append(f"The database did not know: {', '.join(skipped)}.")
    return (1 if found else NOT_LOOKED_UP if skipped else 0), "\n".join(lines)


def main() -> int:
    options = ("--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json")
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", "--requirement", str(PINNED), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    status, words = verdict(done.stdout, done.stderr)
    print(words)
    return status


if __name__ == "__main__":
    sys.exit(main())
