"""A backbone learned in seconds from the user's own normal images; nothing is downloaded."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ahl.backbones._checks import check_settings, check_tensors
from ahl.backbones._filter_learning import learn_filters
from ahl.backbones.base import Backbone, BackboneTensors
from ahl.errors import ConfigurationError, WeightsError
from ahl.randomness import numpy_generator

VERSION: Final = 1
"""Raised whenever the same tensors would give other features."""

STRIDE: Final = 32
"""Pixels to a cell of the feature map: 224 x 224 pixels make 7 x 7 cells, 112 x 112 make 4 x 4."""

SMALLEST_SIDE: Final = 16
"""Of an image, in pixels."""

# Chosen on the demo's drawings and on KolektorSDD. The contrast floor is 300 times the usual one:
# with that, camera noise drowns the defects (KolektorSDD: AUROC 0.88 where this gives 0.97).
_FILTERS: Final = (32, 64)  # of the two layers
LEARNING_IMAGES: Final = 40
"""Images that the filters are learned from; of more, a random choice."""

_CONTRAST_FLOORS: Final = (0.046, 0.1)  # variances; the first is of values in 0..1
_RIDGE: Final = 0.1  # of the whitening
_PATCHES: Final = 10_000  # a layer learns from, at each of the two scales
_BATCH: Final = 8
_SPREAD_FLOOR: Final = 0.01  # a channel that varied less on normal images is not blown up further
_LARGEST_FEATURE: Final = 1000.0  # in spreads; only where the normal images were all but flat
_MOST_FILTERS: Final = 1024  # that settings from a file may ask for


@final
class PatchBackbone(Backbone):
    """Two layers of filters learned from patches of normal images, without labels.

    After Coates and Ng, "Learning Feature Representations with K-means" (2012): random patches are
    contrast-normalised and whitened, spherical k-means finds typical ones, and these become
    filters; responses of either sign are rectified and pooled. A second layer learns likewise on
    the first layer's maps. The maps of both, with the local colour and contrast, are averaged in
    cells of 32 pixels and scaled to mean 0 and spread 1 on the normal images.

    Use `learn` to make one; the constructor gives the architecture with filters of zeros.

    Args:
        filters: number of filters of the first and the second layer, 1 to 1024 each. The feature
            map has two channels for each of them, and 5 more.

    Raises:
        ConfigurationError: if a number of filters is out of range.
    """

    kind = "patches"
    inner_centre: Tensor
    inner_spread: Tensor
    centre: Tensor
    spread: Tensor

    def __init__(self, *, filters: tuple[int, int] = _FILTERS) -> None:
        super().__init__()
        if len(filters) != 2 or not all(
            type(each) is int and 1 <= each <= _MOST_FILTERS for each in filters
        ):
            raise ConfigurationError(
                f"filters is {filters!r}; it must be two whole numbers from 1 to {_MOST_FILTERS}."
            )
        self.filters = tuple(filters)
        self.first = _Layer(filters[0], 3, side=6, stride=2, contrast_floor=_CONTRAST_FLOORS[0])
        inner = self.first.channels + 3
        self.second = _Layer(
            filters[1], inner, side=3, stride=1, contrast_floor=_CONTRAST_FLOORS[1]
        )
        outer = inner + self.second.channels
        self.register_buffer("inner_centre", torch.zeros(inner, 1, 1))
        self.register_buffer("inner_spread", torch.ones(inner, 1, 1))
        self.register_buffer("centre", torch.zeros(outer, 1, 1))
        self.register_buffer("spread", torch.ones(outer, 1, 1))
        self.eval()

    @classmethod
    def learn(cls, images: Sequence[NDArray[np.uint8]], *, seed: int) -> PatchBackbone:
        """Learn the filters of both layers: a few seconds, whatever the number of images.

        The same images in the same order and the same seed give the same filters on one machine.

        Args:
            images: normal ones, uint8, all of one shape (H, W, 3), H and W at least 16. One is
                enough to work, some 20 to work well; of more than 40, 40 are drawn.
            seed: of the draws of images, patches and first centres.

        Raises:
            ConfigurationError: if there is no image, or they are not of one such shape.
        """
        _check_images(images)
        order = numpy_generator(seed, "patches", "images").permutation(len(images))
        drawn = order[:LEARNING_IMAGES]
        pixels = torch.from_numpy(np.stack([images[index] for index in drawn]))
        full = pixels.permute(0, 3, 1, 2).float() / 255.0
        scales = [full, functional.avg_pool2d(full, 2)]
        backbone = cls()
        with torch.inference_mode():
            backbone.first.learn(scales, numpy_generator(seed, "patches", "first"))
            _standardise(backbone.inner_centre, backbone.inner_spread, _run(backbone.inner, full))
            inner = [_run(backbone.inner, scale) for scale in scales]
            backbone.second.learn(inner, numpy_generator(seed, "patches", "second"))
            _standardise(backbone.centre, backbone.spread, _run(backbone, full))
        return backbone

    def forward(self, images: Tensor) -> Tensor:
        """See `Backbone.forward`."""
        height, width = images.shape[-2:]
        cells = (math.ceil(height / STRIDE), math.ceil(width / STRIDE))
        inner = self.inner(images)
        pooled = [
            functional.adaptive_avg_pool2d(each, cells) for each in (inner, self.second(inner))
        ]
        features = (torch.cat(pooled, dim=1) - self.centre) / self.spread
        return features.clamp(-_LARGEST_FEATURE, _LARGEST_FEATURE)

    def inner(self, images: Tensor) -> Tensor:
        """First layer's maps, colour and contrast: (N, 3, H, W) to (N, C, about H/4, W/4)."""
        maps = torch.cat([self.first(images), functional.avg_pool2d(images, 2)], dim=1)
        return (functional.avg_pool2d(maps, 2) - self.inner_centre) / self.inner_spread

    def settings(self) -> dict[str, Any]:
        """See `Backbone.settings`."""
        return {"version": VERSION, "filters": list(self.filters)}

    @classmethod
    def rebuild(cls, settings: dict[str, Any], tensors: BackboneTensors) -> PatchBackbone:
        """See `Backbone.rebuild`."""
        try:
            first, second = settings["filters"]
            backbone = cls(filters=(first, second))
            check_settings(backbone, settings)
            check_tensors(tensors, backbone.state_dict())
            backbone.load_state_dict(tensors)
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise WeightsError(
                f"The stored filters cannot be rebuilt ({error}): the file is damaged or was made "
                "by another version of ahl. Install that version, or train again."
            ) from error
        return backbone


class _Layer(nn.Module):
    """Learned filters over contrast-normalised patches, responses rectified in both signs."""

    def __init__(
        self, count: int, channels: int, *, side: int, stride: int, contrast_floor: float
    ) -> None:
        super().__init__()
        self.side, self.stride, self.contrast_floor = side, stride, contrast_floor
        self.channels = 2 * count + 1
        self.filters = nn.Parameter(torch.zeros(count, channels, side, side))
        self.offsets = nn.Parameter(torch.zeros(count, 1, 1))

    def learn(self, scales: Sequence[Tensor], generator: np.random.Generator) -> None:
        """Set the filters from random patches of maps (N, C, H, W) at several scales."""
        patches = np.concatenate([self._draw(maps, generator) for maps in scales])
        filters, offsets = learn_filters(
            patches,
            count=len(self.filters),
            contrast_floor=self.contrast_floor,
            ridge=_RIDGE,
            generator=generator,
        )
        self.filters.copy_(torch.from_numpy(filters).view_as(self.filters))
        self.offsets.copy_(torch.from_numpy(offsets).view_as(self.offsets))

    def _draw(self, maps: Tensor, generator: np.random.Generator) -> NDArray[np.float64]:
        maps = self._pad(maps)
        windows = maps.unfold(2, self.side, 1).unfold(3, self.side, 1)  # (N, C, h, w, side, side)
        count, _, height, width = windows.shape[:4]
        image, row, column = (generator.integers(0, n, _PATCHES) for n in (count, height, width))
        drawn = windows[torch.from_numpy(image), :, torch.from_numpy(row), torch.from_numpy(column)]
        return drawn.flatten(1).double().numpy()

    def _pad(self, maps: Tensor) -> Tensor:
        before = (self.side - self.stride) // 2
        after = self.side - self.stride - before
        return functional.pad(maps, [before, after, before, after], mode="replicate")

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) to (N, 2 count + 1, H/stride, W/stride): responses and log contrast."""
        maps = self._pad(maps)
        # Over channels first, because a window's sums are sums of its pixels' sums.
        mean = functional.avg_pool2d(maps.mean(1, keepdim=True), self.side, self.stride)
        square = functional.avg_pool2d((maps * maps).mean(1, keepdim=True), self.side, self.stride)
        contrast = ((square - mean * mean).clamp_min(0.0) + self.contrast_floor).sqrt()
        sums = self.filters.sum((1, 2, 3)).view(-1, 1, 1)
        response = functional.conv2d(maps, self.filters, stride=self.stride)
        response = (response - mean * sums) / contrast + self.offsets
        return torch.cat([response.relu(), (-response).relu(), contrast.log()], dim=1)


def _check_images(images: Sequence[NDArray[np.uint8]]) -> None:
    found = {(image.dtype.name, *image.shape) for image in images}
    match list(found):
        case [("uint8", int(height), int(width), 3)] if min(height, width) >= SMALLEST_SIDE:
            return
    raise ConfigurationError(
        "PatchBackbone learns from images that are all uint8 arrays of one shape (H, W, 3), H and "
        f"W at least {SMALLEST_SIDE}; it got {sorted(map(str, found))[:5] or 'no image'}."
    )


def _run(function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    return torch.cat([function(batch) for batch in torch.split(images, _BATCH)])


def _standardise(centre: Tensor, spread: Tensor, maps: Tensor) -> None:
    """Set centre and spread (C, 1, 1) to what brings maps (N, C, h, w) to mean 0, spread 1."""
    double = maps.double()
    centre.copy_(double.mean((0, 2, 3)).view_as(centre))
    # Unbiased over a single value would be NaN: one image may have one cell.
    spread.copy_(double.std((0, 2, 3), correction=0).clamp_min(_SPREAD_FLOOR).view_as(spread))
