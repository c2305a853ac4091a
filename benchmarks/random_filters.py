"""Random weights of the embedded backbone's architecture, to compare the trained ones with.

    python benchmarks/random_filters.py random.safetensors
    ahl benchmark run --backbone embedded --weights random.safetensors ...

Filters are drawn from a normal distribution and brought to the trained filters' mean square; the
scale of the maps is measured on drawn pictures, as for the trained ones.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from ahl.backbones import embedded_backbone
from ahl.features.extractor import as_tensor
from ahl.pretrain.filters import set_inner_scale, set_scale
from ahl.pretrain.weights import write_weights
from ahl.randomness import numpy_generator, torch_generator
from ahl.synthetic import draw_group

GROUPS = 300


def main(path: Path) -> None:
    pictures = [draw_group(128, numpy_generator(0, "drawn", i)).normals[0] for i in range(GROUPS)]
    images = as_tensor(np.stack(pictures), torch.device("cpu"))
    backbone, random = embedded_backbone(), torch_generator(0, "random filters")
    with torch.no_grad():
        for layer in (backbone.first, backbone.second):
            size = layer.filters.square().mean().sqrt()
            layer.filters.copy_(size * torch.randn(layer.filters.shape, generator=random))
            layer.offsets.zero_()
    set_inner_scale(backbone, images)
    set_scale(backbone, images)
    write_weights(backbone, path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
