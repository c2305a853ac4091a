"""Fused networks for faster inference on a CPU, with the same features except for rounding.

Batch norms are folded into the convolutions before them, and a convolution with its activation is
one call of oneDNN, the operator that `torch.compile` emits. On one thread, PyTorch itself does not
use oneDNN for 1x1 convolutions.
"""

from __future__ import annotations

import contextlib
import copy
from collections import Counter
from functools import partial
from typing import Final

import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.norm_act import BatchNormAct2d
from timm.layers.padding import pad_same_arg
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

PROBE: Final = (1, 3, 64, 64)
"""Shape of the images by which batch norms are matched to convolutions."""

TOLERANCE: Final = 1e-3
"""Largest difference, as a share of the largest feature, at which a fused network is used."""

_ACTIVATIONS: Final[dict[type[nn.Module], tuple[str, list[float]]]] = {
    nn.Identity: ("none", []),
    nn.ReLU: ("relu", []),
    nn.ReLU6: ("hardtanh", [0.0, 6.0]),
}
"""oneDNN's names and constants for the activations behind a convolution."""


class FusedConvolution(nn.Module):
    """A convolution and its activation in one call, weights in oneDNN's own layout.

    TensorFlow's "same" pads even sides with one more zero at the end than at the start. With a zero
    row and column before the kernel, all sides have the same padding, which needs no copy of the
    images.

    Args:
        convolution: a convolution with a bias.
        activation: an activation in `_ACTIVATIONS`.
    """

    def __init__(self, convolution: nn.Conv2d, activation: nn.Module) -> None:
        super().__init__()
        self.convolution = convolution
        self.attribute, self.constants = _ACTIVATIONS[type(activation)]
        self._packed: dict[int, Tensor] = {}

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_packed": {}}  # a packed tensor cannot be copied

    def forward(self, images: Tensor) -> Tensor:
        """Apply convolution and activation: (N, C, H, W) to (N, K, h, w)."""
        own = self.convolution
        padding, more = [side for side in own.padding if isinstance(side, int)], 0
        if isinstance(own, Conv2dSame):
            images, padding, more = _padded(images, own)
        result: Tensor = torch.ops.mkldnn._convolution_pointwise(
            images,
            self._weight(padding, more),
            own.bias,
            padding,
            list(own.stride),
            list(own.dilation),
            own.groups,
            self.attribute,
            self.constants,
            "",
        )
        return result

    def _weight(self, padding: list[int], more: int) -> Tensor:
        """The packed kernel with `more` rows and columns of zeros; two threads may both pack it."""
        weight = self._packed.get(more)
        if weight is None:
            own = self.convolution
            weight = functional.pad(own.weight.detach(), (more, 0, more, 0))
            sides = padding, list(own.stride), list(own.dilation)
            with contextlib.suppress(AttributeError, RuntimeError):  # a build that cannot pack
                weight = torch.ops.aten.mkldnn_reorder_conv2d_weight(
                    weight.to_mkldnn(), *sides, own.groups
                )
            self._packed[more] = weight
        return weight


def _padded(images: Tensor, convolution: Conv2dSame) -> tuple[Tensor, list[int], int]:
    """The images, the remaining padding, and the number of zero rows to put before the kernel."""
    sides = list(convolution.kernel_size), list(convolution.stride), list(convolution.dilation)
    left, right, top, bottom = pad_same_arg(list(images.shape[-2:]), *sides)
    if (left, top) == (right, bottom):
        return images, [top, left], 0
    if (left + 1, top + 1) == (right, bottom) and convolution.dilation == (1, 1):
        return images, [bottom, right], 1
    return functional.pad(images, (left, right, top, bottom)), [0, 0], 0


def fused_network(network: nn.Module) -> nn.Module:
    """Fused copy of a network for inference on a CPU; the network itself if nothing can be fused.

    The network must be in evaluation mode, and map (N, 3, H, W) to a list of maps. Those of the
    copy differ by rounding only.
    """
    if not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        return network
    pairs = _followed_by_norms(network)
    if not pairs:
        return network
    fused = copy.deepcopy(network)
    modules = dict(fused.named_modules())
    for norm_name, convolution_name in pairs.items():
        norm, convolution = modules[norm_name], modules[convolution_name]
        assert isinstance(norm, nn.BatchNorm2d)
        assert isinstance(convolution, nn.Conv2d)
        folded = fuse_conv_bn_eval(convolution, norm)
        replacement: nn.Module = folded
        activation = norm.act if isinstance(norm, BatchNormAct2d) else nn.Identity()
        if type(activation) in _ACTIVATIONS and not isinstance(convolution.padding, str):
            replacement, activation = FusedConvolution(folded, activation), nn.Identity()
        fused.set_submodule(convolution_name, replacement)
        fused.set_submodule(norm_name, activation)
    fused = fused.to(memory_format=torch.channels_last).eval()
    return fused if _alike(fused, network) else network


def _followed_by_norms(network: nn.Module) -> dict[str, str]:
    """Name of the convolution before each batch norm, if no other batch norm follows it."""
    outputs: dict[int, tuple[str, Tensor]] = {}  # the tensor is kept, so that its id stays its own
    pairs: dict[str, str] = {}

    def remember(name: str, _: nn.Module, __: object, output: Tensor) -> None:
        outputs[id(output)] = (name, output)

    def compare(name: str, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if id(inputs[0]) in outputs:
            pairs[name] = outputs[id(inputs[0])][0]

    handles = []
    for name, module in network.named_modules():
        if type(module) in (nn.Conv2d, Conv2dSame) and module.padding_mode == "zeros":
            handles.append(module.register_forward_hook(partial(remember, name)))
        elif type(module) in (nn.BatchNorm2d, BatchNormAct2d):
            handles.append(module.register_forward_pre_hook(partial(compare, name)))
    try:
        with torch.inference_mode():
            network(torch.zeros(PROBE))
    finally:
        for handle in handles:
            handle.remove()
    followed = Counter(pairs.values())
    return {n: c for n, c in pairs.items() if followed[c] == 1}


def _alike(fused: nn.Module, network: nn.Module) -> bool:
    """True if both give the same maps, which fails if a convolution's output is used elsewhere."""
    images = torch.rand(PROBE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        try:
            pairs = list(zip(fused(images), network(images), strict=True))
        except (AttributeError, RuntimeError):  # an operator that this build lacks
            return False
    return all(
        bool((own - other).abs().max() <= TOLERANCE * other.abs().max()) for own, other in pairs
    )
