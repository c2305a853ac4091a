"""A fresh environment with `ahl-runtime` from this checkout; as a program, it prints its size.

python tests/scoring/light_environment.py [openvino] [serve]
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]

NOT_OURS = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence")
"""What an environment begins with."""


class NoPackagesError(Exception):
    """Nothing at all can be installed here."""


class LightEnvironment:
    """An environment of its own, in a folder: nothing of the one that runs the tests is in it."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.packages = folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"

    @classmethod
    def create(cls, folder: Path, *extras: str) -> "LightEnvironment":
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        new = cls(folder)
        wanted = f"{ROOT / 'runtime'}[{','.join(extras)}]" if extras else str(ROOT / "runtime")
        constraints = ("--constraint", ROOT / "constraints.txt")
        install = new.run("python", "-m", "pip", "install", *constraints, wanted)
        if install.returncode:
            folder = folder / "download"
            known = new.run("python", "-m", "pip", "download", "--no-deps", "-d", folder, "click")
            message = f"{install.stdout}\n{install.stderr}"
            raise NoPackagesError(message) if known.returncode else RuntimeError(message)
        return new

    def run(self, program: str, *arguments: object, **options) -> subprocess.CompletedProcess[str]:
        """Run one of its programs."""
        return subprocess.run(
            [self.bin / program, *map(str, arguments)],
            env=self.variables(),
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
            **options,
        )

    def variables(self) -> dict[str, str]:
        """What its programs are run with: PYTHONPATH would have them run the checkout's sources."""
        return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def sizes(self) -> dict[str, int]:
        """Bytes on the disk by entry of site-packages, largest first, as `du` counts them."""
        found = {
            entry.name: sum(file.lstat().st_blocks * 512 for file in (entry, *entry.rglob("*")))
            for entry in self.packages.iterdir()
            if not entry.name.startswith(NOT_OURS)
        }
        return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        sizes = LightEnvironment.create(Path(folder) / "light", *sys.argv[1:]).sizes()
    for name, size in sizes.items():
        if size >= 5e6:
            print(f"{size / 1e6:8.1f} MB  {name}")
    print(f"{sum(sizes.values()) / 1e6:8.1f} MB  in all")


if __name__ == "__main__":
    main()
