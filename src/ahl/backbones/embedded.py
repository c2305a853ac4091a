"""The backbone inside the package: no download, no images of anybody's, no licence question.

Two layers of filters, learned by `python -m ahl.pretrain` from pictures that this project draws
itself. Their card is `weights/embedded.md` beside them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final, final

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn import functional

from ahl.backbones._checks import check_settings, check_tensors
from ahl.backbones.base import Backbone, BackboneTensors
from ahl.errors import WeightsError

EMBEDDED: Final = "embedded"
"""What asks for it where a backbone is named."""

WEIGHTS: Final = "embedded.safetensors"
SHA256: Final = "87b15dedb5fcb4f783716e13fff40edc461a76563816841c11d28a73a74533a1"
"""Of the weights file that belongs to this version."""

VERSION: Final = 2
"""Raised whenever the same tensors would give other features."""

FILTERS: Final = (40, 80)
"""Of the first and the second layer."""

STRIDE: Final = 32
"""Side of a feature map's cell, in pixels."""

_INNER_STRIDE: Final = 4
_MOST_FILTERS: Final = 1024  # that settings from a file may ask for
_CONTRAST_FLOORS: Final = (0.046, 0.1)  # variances; the first is of values in 0..1
_LEAST_VARIANCE: Final = 1e-4  # of a map within a cell, before its root is taken
_LARGEST_FEATURE: Final = 1000.0  # in spreads of drawn pictures


class ContrastLayer(nn.Module):
    """Filters over patches of normalised contrast, responses rectified in both signs and averaged.

    After Coates and Ng, "Learning Feature Representations with K-means" (2012), section 2.

    Args:
        count: of filters.
        channels: of the input.
        side: of a patch, in pixels of the input.
        stride: from a patch to the next.
        contrast_floor: variance added to each patch's own before it is divided out.

    Attributes:
        channels: of the output: two a filter, and the logarithm of the contrast.
    """

    def __init__(
        self,
        count: int,
        channels: int,
        *,
        side: int,
        stride: int,
        contrast_floor: float,
    ) -> None:
        super().__init__()
        self.side, self.stride = side, stride
        self.contrast_floor = contrast_floor
        self.channels = 2 * count + 1
        self.filters = nn.Parameter(torch.zeros(count, channels, side, side))
        self.offsets = nn.Parameter(torch.zeros(count, 1, 1))

    def padded(self, maps: Tensor) -> Tensor:
        """Maps with a margin of their own edge, so that every stride has a patch."""
        before = (self.side - self.stride) // 2
        after = self.side - self.stride - before
        return functional.pad(maps, [before, after, before, after], mode="replicate")

    def means(self, maps: Tensor, window: int) -> Tensor:
        """Means over windows of patches.

        Args:
            maps: (N, C, H, W).
            window: its side, in patches.

        Returns:
            (N, channels, H / (stride window), W / (stride window)), rounded up.
        """
        response, contrast = self._responses(maps)
        # The mean of what is rectified, from the means of sizes and of values: half the work.
        sizes, values = averaged(response.abs(), window), averaged(response, window)
        return _both_signs(sizes, values, averaged(contrast, window))

    def statistics(self, maps: Tensor, window: int) -> Tensor:
        """Means as by `means`, then spreads: (N, 2 channels, ...)."""
        response, contrast = self._responses(maps)
        sizes = response.abs()
        means = _both_signs(
            averaged(sizes, window), averaged(response, window), averaged(contrast, window)
        )
        squares = _both_signs(
            averaged(response * response, window),
            averaged(response * sizes, window),
            averaged(contrast * contrast, window),
        )
        return torch.cat([means, _spread(means, squares)], dim=1)

    def _responses(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Of all patches: (N, count, h, w) responses, and (N, 1, h, w) logarithms of contrast."""
        maps = self.padded(maps)
        # Over channels first, because a window's sums are sums of its pixels' sums.
        mean = functional.avg_pool2d(maps.mean(1, keepdim=True), self.side, self.stride)
        square = functional.avg_pool2d((maps * maps).mean(1, keepdim=True), self.side, self.stride)
        contrast = ((square - mean * mean).clamp_min(0.0) + self.contrast_floor).sqrt()
        sums = self.filters.sum((1, 2, 3)).view(-1, 1, 1)
        response = functional.conv2d(maps, self.filters, stride=self.stride)
        return (response - mean * sums) / contrast + self.offsets, contrast.log()


@final
class EmbeddedBackbone(Backbone):
    """Two contrast layers; mean and spread of both layers' maps, and of colour, in cells.

    A mean alone hides a response that is strong in a corner of a cell; the spread tells it.

    Use `embedded_backbone` to get the trained one; the constructor gives filters of zeros.

    Args:
        filters: number of filters of the first and the second layer, 1 to 1024 each.

    Raises:
        WeightsError: if a number of filters is out of range.
    """

    kind = "embedded"
    inner_centre: Tensor
    inner_spread: Tensor
    centre: Tensor
    spread: Tensor

    def __init__(self, *, filters: tuple[int, int] = FILTERS) -> None:
        super().__init__()
        if len(filters) != 2 or not all(
            type(each) is int and 1 <= each <= _MOST_FILTERS for each in filters
        ):
            raise WeightsError(f"filters is {filters!r}; it must be two numbers up to 1024.")
        self.filters = tuple(filters)
        self.first = ContrastLayer(
            filters[0], 3, side=6, stride=2, contrast_floor=_CONTRAST_FLOORS[0]
        )
        inner = self.first.channels + 3
        self.second = ContrastLayer(
            filters[1], inner, side=3, stride=1, contrast_floor=_CONTRAST_FLOORS[1]
        )
        outer = 2 * (inner + self.second.channels)
        self.register_buffer("inner_centre", torch.zeros(inner, 1, 1))
        self.register_buffer("inner_spread", torch.ones(inner, 1, 1))
        self.register_buffer("centre", torch.zeros(outer, 1, 1))
        self.register_buffer("spread", torch.ones(outer, 1, 1))
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """See `Backbone.forward`."""
        return self.cells(images, STRIDE)

    def cells(self, images: Tensor, side: int) -> Tensor:
        """Features of square cells: (N, C, H / side, W / side), rounded up.

        Args:
            images: (N, 3, H, W) in 0..1.
            side: of a cell in pixels, a multiple of 4.
        """
        inner = self.inner(images)
        window = side // _INNER_STRIDE
        maps = torch.cat([statistics(inner, window), self.second.statistics(inner, window)], dim=1)
        features = (maps - self.centre) / self.spread
        return features.clamp(-_LARGEST_FEATURE, _LARGEST_FEATURE)

    def inner(self, images: Tensor) -> Tensor:
        """First layer's maps and local colour at stride 4, standardised."""
        height, width = images.shape[-2:]
        missing = [0, -width % _INNER_STRIDE, 0, -height % _INNER_STRIDE]
        if any(missing):  # so that both have as many positions
            images = functional.pad(images, missing, mode="replicate")
        maps = torch.cat([self.first.means(images, 2), averaged(images, _INNER_STRIDE)], dim=1)
        return (maps - self.inner_centre) / self.inner_spread

    def settings(self) -> dict[str, Any]:
        """See `Backbone.settings`."""
        return {"version": VERSION, "filters": list(self.filters)}

    @classmethod
    def rebuild(cls, settings: dict[str, Any], tensors: BackboneTensors) -> EmbeddedBackbone:
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


def averaged(maps: Tensor, side: int) -> Tensor:
    """Means over windows of `side` x `side`: (N, C, H, W) to (N, C, H / side, W / side).

    Rounded up: windows at the far edges may hold fewer positions.
    """
    return functional.avg_pool2d(maps, side, ceil_mode=True)


def statistics(maps: Tensor, side: int) -> Tensor:
    """Means, then spreads, over windows: (N, C, H, W) to (N, 2 C, H / side, W / side)."""
    mean = averaged(maps, side)
    return torch.cat([mean, _spread(mean, averaged(maps * maps, side))], dim=1)


def _spread(mean: Tensor, square: Tensor) -> Tensor:
    return (square - mean * mean).clamp_min(_LEAST_VARIANCE).sqrt()


def _both_signs(sizes: Tensor, values: Tensor, contrasts: Tensor) -> Tensor:
    """What is rectified in either sign, from sums of sizes and of values, and the contrast."""
    return torch.cat([(sizes + values) / 2, (sizes - values) / 2, contrasts], dim=1)


def weights_file() -> Path:
    """Where the installed weights are."""
    return Path(__file__).parent / "weights" / WEIGHTS


def embedded_backbone(weights: Path | None = None) -> EmbeddedBackbone:
    """The trained backbone, from the package's own files.

    Args:
        weights: a file of `python -m ahl.pretrain` instead.

    Returns:
        it, in evaluation mode: images (N, 3, H, W) in 0..1 to (N, 490, H / 32, W / 32), rounded up.

    Raises:
        WeightsError: if the weights are missing, or not those of this version, or no filters.
    """
    file, way_out = weights or weights_file(), "" if weights else " Install ahl again."
    try:
        data = file.read_bytes()
    except OSError as error:
        raise WeightsError(f"The weights {file} cannot be read.{way_out}") from error
    if weights is None and hashlib.sha256(data).hexdigest() != SHA256:
        raise WeightsError(f"The weights {file} are not those of this version.{way_out}")
    try:
        # Half precision in the file, single in use.
        tensors = {name: tensor.float() for name, tensor in load(data).items()}
        filters = [len(tensors[f"{layer}.filters"]) for layer in ("first", "second")]
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{file} holds no weights of the embedded backbone ({error}): only what "
            "`python -m ahl.pretrain` writes does."
        ) from error
    return EmbeddedBackbone.rebuild({"version": VERSION, "filters": filters}, tensors)
