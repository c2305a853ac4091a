"""A convolution with filters learned from patches, over locally normalised contrast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ahl.pretrain.filter_learning import learn_filters

RIDGE: Final = 0.1
"""Of the whitening."""

PATCHES: Final = 20_000
"""That a layer learns from, at each scale."""


class ContrastLayer(nn.Module):
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
            ridge=RIDGE,
            generator=generator,
        )
        self.filters.copy_(torch.from_numpy(filters).view_as(self.filters))
        self.offsets.copy_(torch.from_numpy(offsets).view_as(self.offsets))

    def _draw(self, maps: Tensor, generator: np.random.Generator) -> NDArray[np.float64]:
        maps = self._pad(maps)
        windows = maps.unfold(2, self.side, 1).unfold(3, self.side, 1)  # (N, C, h, w, side, side)
        count, _, height, width = windows.shape[:4]
        image, row, column = (generator.integers(0, n, PATCHES) for n in (count, height, width))
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
