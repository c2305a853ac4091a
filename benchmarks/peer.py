"""Images per second of a trained model and of anomalib's PatchCore, with the same weights.

    python3.11 -m venv peer
    peer/bin/pip install -c constraints.txt -e '.[onnx]' anomalib==2.6.0
    peer/bin/python -W ignore benchmarks/peer.py

ahl does not require anomalib, which gets an environment of its own (6.4 GB).

One thread, batches of 16 decoded images. The rows are measured alternately; a first turn warms up.
PatchCore gets normalised tensors, our model bytes, whose normalisation counts. PatchCore always
computes its anomaly map; our rows with heat maps do so too. PatchCore uses the layers that our
model joins (strides 8, 16 and 32), or the finer two, as many as anomalib's default. Its bank is a
random choice of patches of good images: a coreset of that size takes the same time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import as_command  # noqa: F401 - before torch
import numpy as np
import torch
from drawn_model import add_model_options, draw, train

from ahl.apps.export import export_model
from ahl.features.backbones.pretrained import TimmBackbone
from ahl.features.extractor import as_tensor, two_scales
from ahl.scoring.onnx_scorer import OnnxScorer
from ahl.scoring.torch_scorer import TorchScorer

TOGETHER = 16
PACKAGES = ("ahl", "anomalib", "torch", "timm", "onnxruntime")
PEERS = ("PatchCore", "PatchCore, two layers")


def patchcore(backbone: TimmBackbone, layers: Sequence[int], good: torch.Tensor, size: int) -> Any:
    """anomalib's model with our weights and a bank of patches of good images (N, 3, H, W)."""
    try:
        from anomalib.models.image.patchcore.torch_model import PatchcoreModel
    except ImportError as error:
        install = "\n".join((__doc__ or "").splitlines()[2:5])
        raise SystemExit(
            f"anomalib cannot be imported ({error}). Install it beside ahl, in an environment of "
            f"its own:\n\n{install}"
        ) from error
    model = PatchcoreModel(layers=layers, backbone=backbone.name, pre_trained=False)
    model.feature_extractor.feature_extractor.load_state_dict(backbone.network.state_dict())
    with torch.inference_mode():
        theirs = model.feature_extractor(good[:1])
        ours = dict(zip(backbone.stages, backbone.network(good[:1]), strict=True))
        for layer in layers:
            torch.testing.assert_close(theirs[layer], ours[layer])
        patches = model.train()(good)  # in training it returns them
    model.embedding_store.clear()
    chosen = torch.randperm(len(patches), generator=torch.Generator().manual_seed(0))[:size]
    model.memory_bank = patches[chosen]
    if len(model.memory_bank) != size:
        raise SystemExit(f"--bank is {size}; expected at most {len(patches)}.")
    return model.eval()


def in_onnx_runtime(scorer: TorchScorer) -> OnnxScorer:
    """Export the model and open it in ONNX Runtime."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "onnx"
        export_model(scorer.model, path)
        return OnnxScorer(path, threads=1)


def in_turns(works: Mapping[str, Callable[[int], object]], batches: int, turns: int) -> Any:
    """Seconds of each piece of work in each turn; it is called with the number of a batch."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(turns + 1):
        for name, work in works.items():
            started = time.perf_counter()
            for batch in range(batches):
                work(batch)
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_model_options(parser)
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--bank", type=int, default=2000, help="patches in PatchCore's memory")
    parser.add_argument("--turns", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    scorer = TorchScorer(train(options).model, torch.device("cpu"))
    exported = in_onnx_runtime(scorer)
    backbone = scorer.model.backbone
    assert isinstance(backbone, TimmBackbone)
    count = options.batches * TOGETHER
    images = np.stack(draw(count + TOGETHER, options.side, square=False, seed=2))
    tensor = partial(as_tensor, device=torch.device("cpu"))
    pixels = np.split(images, options.batches + 1)
    # Channels first in memory, as anomalib's own reader and pre-processor give them.
    tensors = [((tensor(p) - backbone.shift) / backbone.scale).contiguous() for p in pixels]
    good = tensors[-1]  # scored by none
    joined = patchcore(backbone, backbone.stages, good, options.bank)
    finer = patchcore(backbone, backbone.stages[:2], good, options.bank)
    works: dict[str, Callable[[int], object]] = {
        "bare backbone": lambda i: two_scales(backbone, tensor(pixels[i])),
        "ahl": lambda i: scorer.score_pixels(pixels[i]),
        "ahl, heat maps": lambda i: scorer.score_pixels(pixels[i], heat_maps=True),
        "ahl, ONNX": lambda i: exported.score_pixels(pixels[i]),
        "ahl, ONNX, heat maps": lambda i: exported.score_pixels(pixels[i], heat_maps=True),
        PEERS[0]: lambda i: joined(tensors[i]),
        PEERS[1]: lambda i: finer(tensors[i]),
    }
    with torch.inference_mode():
        seconds = in_turns(works, options.batches, options.turns)
    print(", ".join(f"{package} {version(package)}" for package in PACKAGES))
    print(
        f"{backbone.name}, {options.side} px, one thread, {options.turns} turns of {count} images, "
        f"a bank of {len(joined.memory_bank)}, {joined.num_neighbors} neighbours"
    )
    print("Of each pair: best, median of the turns")
    print(f"{'':<22} {'images a second':>15}   " + "   ".join(f"over {p:<21}" for p in PEERS))
    for name, own in seconds.items():
        cells = [f"{count / min(own):7.1f} {count / median(own):7.1f}"]
        for peer in PEERS:
            ratios = (of(seconds[peer]) / of(own) for of in (min, median))
            cells.append(" ".join(f"{ratio:5.2f}" for ratio in ratios).ljust(26))
        print(f"{name:<22} " + "   ".join(cells).rstrip())


if __name__ == "__main__":
    main()
