"""Peak memory with many images, held by the process and mapped from files.

Draws N images, trains on them with `ahl train` in a process of its own and watches it (Linux); or
watches `ahl predict` on many paths of the same images. The system can reclaim pages that are mapped
from the feature cache, but not memory that the process holds.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

FIELDS = ("RssAnon", "RssFile", "VmHWM")


def draw_images(root: Path, normals: int, anomalies: int, size: int) -> None:
    """Write images of smooth noise, and anomalies with a bright square; all are different."""
    generator = np.random.default_rng(0)
    for folder, count in (("good", normals), ("square", anomalies)):
        (root / folder).mkdir(parents=True)
        for i in range(count):
            coarse = generator.integers(60, 190, (8, 8, 3), dtype=np.uint8)
            image = np.asarray(Image.fromarray(coarse).resize((size, size))).copy()
            if folder == "square":
                y, x = generator.integers(0, size - 24, 2)
                image[y : y + 24, x : x + 24] = 250
            Image.fromarray(image).save(root / folder / f"{i:05d}.jpg", quality=90)


def watch(process: subprocess.Popen[bytes]) -> dict[str, int]:
    """Sample a process's memory every tenth of a second; return the peaks in bytes."""
    peaks = dict.fromkeys(FIELDS, 0)
    status = Path("/proc") / str(process.pid) / "status"
    while process.poll() is None:
        try:
            lines = status.read_text(encoding="ascii").splitlines()
        except OSError:
            break
        for line in lines:
            name, _, value = line.partition(":")
            if name in peaks:
                peaks[name] = max(peaks[name], int(value.split()[0]) * 1024)
        time.sleep(0.1)
    return peaks


def link_images(source: Path, target: Path, count: int) -> None:
    """Hard-link images under `count` paths; only their number matters."""
    images = sorted(source.iterdir())
    for i in range(count):
        folder = target / f"{i // 1000:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        os.link(images[i % len(images)], folder / f"{i:06d}.jpg")


def run(command: list[str]) -> tuple[dict[str, int], float]:
    """Run a command; return its memory peaks in bytes and its seconds."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    result: dict[str, int] = {}
    watcher = threading.Thread(target=lambda: result.update(watch(process)))
    watcher.start()
    process.wait()
    watcher.join()
    if process.returncode:
        sys.exit(f"{command[3]} failed with {process.returncode}")
    return result, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--anomalies", type=int, default=10)
    parser.add_argument("--size", type=int, default=256, help="of the images drawn, in pixels")
    parser.add_argument(
        "--predict", type=int, metavar="N", help="watch `ahl predict` on N paths of them instead"
    )
    parser.add_argument("train", nargs="*", help="further arguments for `ahl train`, after --")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        model = root / "model.ahl"
        draw_images(root / "data", options.images, options.anomalies, options.size)
        ahl = [sys.executable, "-m", "ahl"]
        arguments = ["--output", str(model), "--cache", str(root / "cache"), *options.train]
        result, seconds = run([*ahl, "train", str(root / "data"), *arguments])
        count, verb = options.images, "train"
        if options.predict:
            count, verb = options.predict, "predict"
            link_images(root / "data" / "good", root / "many", count)
            result, seconds = run([*ahl, "predict", str(model), str(root / "many"), "--json"])
        cached = sum(path.stat().st_size for path in (root / "cache").rglob("*.npy"))
    print(f"ahl {verb} {shlex.join(options.train)}")
    print(f"{count} images: {seconds:.0f} s")
    for name, value in (
        ("held (RssAnon)", result["RssAnon"]),
        ("mapped from files (RssFile)", result["RssFile"]),
        ("both at once (VmHWM)", result["VmHWM"]),
        ("feature cache on disk", cached),
    ):
        print(f"{name:30s} {value / 2**20:8.0f} MiB")


if __name__ == "__main__":
    main()
