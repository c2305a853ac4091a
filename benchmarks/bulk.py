"""The cost of bulk scoring: CPU seconds per image, by size of the JPEG files.

    python benchmarks/bulk.py parts.ahl
    python benchmarks/bulk.py parts.ahl --workers 2        # Ray beside one process (ahl[ray])

CPU time hardly depends on what else the machine does, unlike wall time. Set-up (loading the model,
a warm-up shard) is not part of the rate.
"""

from __future__ import annotations

import argparse
import io
import resource
import tempfile
import time
from functools import partial
from pathlib import Path

import as_command  # noqa: F401 - before torch
import numpy as np
from PIL import Image

from ahl._common.callbacks import Callback
from ahl.apps.bulk.run import Engine, score_collection, score_here


def jpeg(side: int, seed: int) -> bytes:
    """A square picture about as detailed as a photograph: noise of several grains."""
    random = np.random.default_rng(seed)
    total = np.zeros((side, side, 3), dtype=np.float32)
    for grain, weight in ((8, 60), (32, 30), (128, 15), (512, 6)):
        coarse = random.integers(0, 256, (min(grain, side), min(grain, side), 3), dtype=np.uint8)
        smooth = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        total += weight * (np.asarray(smooth, dtype=np.float32) / 255 - 0.5)
    total += random.normal(0, 3, total.shape)
    file = io.BytesIO()
    Image.fromarray(np.clip(total + 128, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


class Clock(Callback):
    """Records CPU time and wall time when a shard is done."""

    def __init__(self) -> None:
        self.noted: list[tuple[int, float, float]] = []

    def on_stage(self, stage: str, done: int, total: int) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        self.noted.append((done, used.ru_utime + used.ru_stime, time.perf_counter()))

    def after_the_first_shard(self) -> tuple[float, float]:
        """CPU and wall seconds per image, the first shard not counted."""
        first, last = self.noted[1], self.noted[-1]
        images = last[0] - first[0]
        return (last[1] - first[1]) / images, (last[2] - first[2]) / images


def run(model: Path, folder: Path, out: Path, engine: Engine, shard: int) -> Clock:
    clock = Clock()
    score_collection(
        model,
        [str(folder)],
        str(out),
        engine=engine,
        shard_size=shard,
        device="cpu",
        callback=clock,
    )
    return clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--sides", type=int, nargs="+", default=[256, 1024, 3500])
    parser.add_argument("--shard", type=int, default=128)
    parser.add_argument("--workers", type=int, help="also on Ray, with so many actors")
    options = parser.parse_args()
    for side in options.sides:
        with tempfile.TemporaryDirectory() as name:
            folder, out = Path(name) / "in", Path(name) / "out"
            folder.mkdir()
            count = options.images if side < 2000 else options.images // 4
            pictures = [jpeg(side, seed) for seed in range(4)]
            for number in range(count):
                (folder / f"{number:05d}.jpg").write_bytes(pictures[number % 4])
            shard = min(options.shard, count // 4)
            clock = run(options.model, folder, out, partial(score_here, threads=1), shard)
            processor, seconds = clock.after_the_first_shard()
            size = sum(map(len, pictures)) / 4e3
            print(
                f"{side} px, {size:.0f} kB a JPEG: {processor * 1e3:.1f} ms of one core an image, "
                f"{1 / processor:.1f} images a core-second; by the clock {1 / seconds:.1f}"
            )
            if options.workers:
                from ahl.apps.bulk.ray_engine import RayEngine

                both = run(
                    options.model, folder, Path(name) / "ray", RayEngine(workers=options.workers),
                    shard,
                )  # fmt: skip
                _, on_ray = both.after_the_first_shard()
                print(f"  Ray, {options.workers} actors: {seconds / on_ray:.2f} times as fast")


if __name__ == "__main__":
    main()
