"""Images per second of a trained model against its bare backbone, measured alternately.

    python benchmarks/throughput.py
    python benchmarks/throughput.py --backbone mobilenetv2_100 --weights mobilenetv2_100.safetensors

Bare: the backbone at full and at half size on batches of 16 decoded images. Decoded: the same
images scored, heads, memory and calibration included. Files: from JPEG files, decoded in parallel.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import as_command  # noqa: F401 - before torch
import numpy as np
import torch
from drawn_model import add_model_options, draw, train
from PIL import Image

from ahl.features.extractor import as_tensor, two_scales
from ahl.scoring.torch_scorer import TorchScorer


def best(works: Mapping[str, Callable[[], object]], turns: int) -> dict[str, float]:
    """Fewest seconds of each piece of work, run alternately."""
    least = dict.fromkeys(works, float("inf"))
    for _ in range(turns):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            least[name] = min(least[name], time.perf_counter() - started)
    return least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_model_options(parser)
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    side = options.side
    with tempfile.TemporaryDirectory() as folder:
        detector = train(options)
        scorer = TorchScorer(detector.model, torch.device("cpu"))
        images = draw(options.images, side, square=False, seed=2)
        files = [Path(folder) / f"{i:05d}.jpg" for i in range(len(images))]
        for image, file in zip(images, files, strict=True):
            Image.fromarray(image).save(file, quality=90)
        backbone = scorer.extractor.backbone

        def bare() -> None:
            with torch.inference_mode():
                for start in range(0, len(images), 16):
                    pixels = np.stack(images[start : start + 16])
                    two_scales(backbone, as_tensor(pixels, torch.device("cpu")))

        least = best(
            {
                "bare": bare,
                "decoded": lambda: list(scorer.predict(images)),
                "files": lambda: list(scorer.predict(files)),
            },
            options.turns,
        )
    print(f"{options.backbone}, {side} px, {options.threads} threads, best of {options.turns}")
    for name, seconds in least.items():
        rate, ratio = options.images / seconds, least["bare"] / seconds
        print(f"{name:<8} {rate:7.1f} images a second   {ratio:.2f} of the bare backbone")


if __name__ == "__main__":
    main()
