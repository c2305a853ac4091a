"""The backbone's filters, learned from drawn pictures without labels, layer by layer.

After Coates and Ng, "Learning Feature Representations with K-means" (2012): patches at two scales
are contrast-normalised and whitened, spherical k-means finds typical ones, and these are filters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ahl.backbones.embedded import ContrastLayer, EmbeddedBackbone
from ahl.features.extractor import as_tensor
from ahl.pretrain.filter_learning import learn_filters
from ahl.randomness import numpy_generator

RIDGE: Final = 0.1
"""Of the whitening."""

PATCHES: Final = 20_000
"""That a layer learns from, at each scale."""

_BATCH: Final = 16
_SPREAD_FLOOR: Final = 0.01  # a channel that varied less is not blown up further


def learn_backbone(pictures: NDArray[np.uint8], *, seed: int) -> EmbeddedBackbone:
    """Learn both layers and the scale of all maps.

    Args:
        pictures: (N, S, S, 3) uint8, good ones of many materials.
        seed: of the draws of patches and first centres.

    Returns:
        the backbone, in evaluation mode.
    """
    backbone = EmbeddedBackbone()
    images = as_tensor(pictures, torch.device("cpu"))
    scales = [images, functional.avg_pool2d(images, 2)]
    with torch.inference_mode():
        _learn(backbone.first, scales, numpy_generator(seed, "filters", "first"))
        set_inner_scale(backbone, images)
        inner = [_run(backbone.inner, scale) for scale in scales]
        _learn(backbone.second, inner, numpy_generator(seed, "filters", "second"))
        set_scale(backbone, images)
    return backbone


def set_inner_scale(backbone: EmbeddedBackbone, images: Tensor) -> None:
    """Bring what the second layer gets to mean 0 and spread 1 on images (N, 3, S, S) in 0..1."""
    _standardise(backbone.inner_centre, backbone.inner_spread, backbone.inner, images)


def set_scale(backbone: EmbeddedBackbone, images: Tensor) -> None:
    """Bring every channel to mean 0 and spread 1 on images (N, 3, S, S) in 0..1."""
    _standardise(backbone.centre, backbone.spread, backbone, images)


def _learn(layer: ContrastLayer, scales: Sequence[Tensor], random: np.random.Generator) -> None:
    """Set a layer's filters from random patches of maps (N, C, H, W) at several scales."""
    patches = np.concatenate([_draw(layer, maps, random) for maps in scales])
    filters, offsets = learn_filters(
        patches,
        count=len(layer.filters),
        contrast_floor=layer.contrast_floor,
        ridge=RIDGE,
        generator=random,
    )
    layer.filters.copy_(torch.from_numpy(filters).view_as(layer.filters))
    layer.offsets.copy_(torch.from_numpy(offsets).view_as(layer.offsets))


def _draw(layer: ContrastLayer, maps: Tensor, random: np.random.Generator) -> NDArray[np.float64]:
    maps = layer.padded(maps)
    windows = maps.unfold(2, layer.side, 1).unfold(3, layer.side, 1)  # (N, C, h, w, side, side)
    count, _, height, width = windows.shape[:4]
    image, row, column = (
        torch.from_numpy(random.integers(0, n, PATCHES)) for n in (count, height, width)
    )
    drawn: NDArray[np.float64] = windows[image, :, row, column].flatten(1).double().numpy()
    return drawn


def _run(function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    return torch.cat([function(batch) for batch in torch.split(images, _BATCH)])


def _standardise(
    centre: Tensor, spread: Tensor, maps: Callable[[Tensor], Tensor], images: Tensor
) -> None:
    """Set centre and spread (C, 1, 1), which `maps` applies, so that its channels come out so."""
    with torch.inference_mode():
        centre.zero_()
        spread.fill_(1.0)
        double = _run(maps, images).double()
        centre.copy_(double.mean((0, 2, 3)).view_as(centre))
        deviation = double.std((0, 2, 3), correction=0).clamp_min(_SPREAD_FLOOR)
        spread.copy_(deviation.view_as(spread))
