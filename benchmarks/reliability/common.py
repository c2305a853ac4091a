"""Shared by the reliability runs: drawn images, small models, the command, the service."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

AHL = (sys.executable, "-m", "ahl")


def picture(side: int, seed: int, *, defect: bool = False) -> NDArray[np.uint8]:
    """Smooth noise (side, side, 3), with a bright square as its defect."""
    random = np.random.default_rng([seed, side])
    coarse = random.integers(60, 190, (8, 8, 3), dtype=np.uint8)
    pixels = np.asarray(Image.fromarray(coarse).resize((side, side))).copy()
    if defect:
        extent = max(4, side // 8)
        row, column = random.integers(0, side - extent, 2)
        pixels[row : row + extent, column : column + extent] = 250
    return pixels


def draw_parts(root: Path, *, good: int, defects: int, side: int = 96, first: int = 0) -> Path:
    """Write good/ and square/ as `ahl train` reads them."""
    for name, count in (("good", good), ("square", defects)):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(first, first + count):
            pixels = picture(side, number + 10_000 * (name != "good"), defect=name != "good")
            Image.fromarray(pixels).save(root / name / f"{number:04d}.png")
    return root


def ahl(*arguments: object, codes: Sequence[int] = (0,)) -> subprocess.CompletedProcess[str]:
    """Run the command to its end; exit if its status is not one of `codes`."""
    done = subprocess.run(
        [*AHL, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode not in codes or "Traceback" in done.stderr:
        raise SystemExit(f"ahl {arguments}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def train(folder: Path, *, side: int = 128) -> Path:
    """Train a small model with a threshold; return its file."""
    parts = draw_parts(folder / "parts", good=40, defects=6)
    model = folder / "parts.ahl"
    ahl(
        *("train", parts, "-o", model, "--image-size", side),
        *("--epochs", 2, "--no-cache"),
    )
    fresh = draw_parts(folder / "fresh", good=40, defects=0, first=500)
    ahl("threshold", model, fresh / "good", "--max-false-alarm-rate", 0.05)
    return model


def export(model: Path) -> Path:
    """Export a model; return the exported file."""
    output = model.with_suffix(".onnx")
    ahl("export", model, "-o", output)
    return output


class Service:
    """A running `ahl serve`.

    Args:
        process: the running process.
        port: its port on 127.0.0.1.
        log: file that it writes its standard error to.
    """

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process, self.port, self.log = process, port, log

    def requests(self) -> dict[str, int | None]:
        """Status of each request in the access log, by the request's id."""
        lines = self.log.read_text().splitlines()
        told = [json.loads(line) for line in lines if line.startswith("{")]
        return {one["request_id"]: one["status"] for one in told}

    def complaints(self) -> list[str]:
        """Lines of the log other than the access log and the start message."""
        lines = self.log.read_text().splitlines()
        return [one for one in lines if not one.startswith(("{", "Serving on "))]


@contextmanager
def serving(model: Path, *options: object, command: Sequence[str] = AHL[1:]) -> Iterator[Service]:
    """Run the service with an access log in a process of its own; kill it at the end."""
    arguments = [sys.executable, *command, "serve", str(model), "--port", "0", "--access-log"]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as file:
            process = subprocess.Popen([*arguments, *map(str, options)], stderr=file)
        try:
            while not (found := re.search(r"Serving on \S+:(\d+)", log.read_text())):
                if process.poll() is not None:
                    raise SystemExit(f"The service did not start: {log.read_text()}")
                time.sleep(0.05)
            yield Service(process, int(found[1]), log)
        finally:
            process.kill()
            process.wait()


def tell(figures: dict[str, object], faults: Sequence[str]) -> int:
    """Print the figures and the faults as JSON.

    Returns:
        exit status: 1 if there are faults, else 0.
    """
    load = [round(one, 1) for one in os.getloadavg()]
    told = {**figures, "load_average": load, "faults": list(faults)}
    print(json.dumps(told, indent=1))
    return 1 if faults else 0
