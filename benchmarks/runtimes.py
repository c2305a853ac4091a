"""Images per second of one model in torch, ONNX Runtime and OpenVINO, measured alternately.

    python benchmarks/runtimes.py parts.ahl
    python benchmarks/runtimes.py parts.ahl --int8 parts/

The model is exported first, as one file for both. Each runtime then scores the same decoded images
of the model's own size (scores and heads, no heat maps), one at a time and sixteen together, with
one thread and with two. The ratio is to torch with the same threads and batch size.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import as_command  # noqa: F401 - before torch
import numpy as np
import torch

from ahl.apps.export import export_model
from ahl.config.image_size import in_pixels
from ahl.data import open_dataset
from ahl.model.trained import TrainedModel
from ahl.scoring.onnx_scorer import OnnxScorer
from ahl.scoring.scorer import Scorer
from ahl.scoring.torch_scorer import TorchScorer

DEVICES = {"onnx": "cpu", "openvino": "openvino"}


def seconds(engine: Scorer, pixels: np.ndarray, together: int, threads: int) -> float:
    torch.set_num_threads(threads)
    started = time.perf_counter()
    for start in range(0, len(pixels), together):
        engine.score_pixels(pixels[start : start + together])
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("--int8", type=Path, metavar="DATA", help="labelled folder: 8 bits too")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    model = TrainedModel.load(options.model)
    scorer = TorchScorer(model, torch.device("cpu"))
    size = scorer.card.image_size
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (options.images, *size, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        files = {"": Path(folder) / "fp32"}
        export_model(model, files[""])
        if options.int8 is not None:
            files[" int8"] = Path(folder) / "int8"
            export_model(model, files[" int8"], int8=True, data=open_dataset(options.int8))
        names = [f"{runtime}{kind}" for runtime in DEVICES for kind in files]
        print(
            f"{scorer.card.backbone}, {in_pixels(size)}, best of {options.turns}, images a second"
        )
        print(f"{'threads':>7} {'batch':>5}  " + "  ".join(f"{n:>16}" for n in ("torch", *names)))
        for threads in (1, 2):
            engines: dict[str, Scorer] = {"torch": scorer}
            for runtime, device in DEVICES.items():
                for kind, file in files.items():
                    engines[f"{runtime}{kind}"] = OnnxScorer(file, device=device, threads=threads)
            for together in (1, 16):
                least = dict.fromkeys(engines, float("inf"))
                for turn in range(options.turns + 1):  # the first warms up
                    for name, engine in engines.items():
                        taken = seconds(engine, pixels, together, threads)
                        least[name] = min(least[name], taken) if turn else float("inf")
                print(
                    f"{threads:>7} {together:>5}  "
                    + "  ".join(
                        f"{options.images / taken:>8.1f} ({least['torch'] / taken:4.2f})"
                        for taken in least.values()
                    )
                )


if __name__ == "__main__":
    main()
