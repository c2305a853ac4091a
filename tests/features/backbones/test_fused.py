"""Networks fused for inference give the features of those that they were made of."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import nn
from torch.nn import functional

from ahl.features.backbones import TimmBackbone
from ahl.features.backbones.fused import FusedConvolution, fused_network

NETWORKS = {
    "tf_efficientnet_lite0": {},
    "mobilenetv2_100": {"pad_type": "same"},
    "resnet18": {"channels": [16, 16, 32, 32]},
    "efficientnet_b0": {},  # SiLU, squeeze-and-excite: batch norms alone can be folded
}


def lively(backbone):
    """Random running statistics, so that a forgotten batch norm shows."""
    generator = torch.Generator().manual_seed(0)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
            module.bias.data.uniform_(-0.2, 0.2, generator=generator)
    return backbone


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [(64, 64), (65, 65), (75, 130)], ids=str)
def test_features_stay_the_same_but_for_rounding(name, size):
    backbone = lively(TimmBackbone(name=name, arguments=NETWORKS[name]))
    faster = backbone.for_inference()
    images = torch.rand(3, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected, found = backbone(images), faster(images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in faster.modules())
    fused = sum(isinstance(module, FusedConvolution) for module in faster.modules())
    assert fused > 0


def convolution(kernel, *, groups=1, stride=2, dilation=1):
    torch.manual_seed(0)
    return Conv2dSame(
        4, 8, kernel, stride=stride, dilation=dilation, groups=groups, padding="same"
    ).eval()


SAME = {
    "3x3": convolution(3),
    "5x5, by channel": convolution(5, groups=4),
    "3x5": convolution((3, 5)),
    "1x1": convolution(1),
    "2x2": convolution(2),
    "dilated": convolution(3, dilation=2),
    "stride 3": convolution(3, stride=3),
}


@pytest.mark.parametrize("size", [(12, 14), (13, 15), (12, 15), (13, 14), (3, 3), (2, 2)], ids=str)
@pytest.mark.parametrize("name", SAME)
def test_same_padding_of_even_and_odd_sides(name, size):
    plain, fused = SAME[name], FusedConvolution(SAME[name], nn.ReLU6())
    images = torch.rand(2, 4, *size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        for _ in range(2):  # the second time with the packed weights of the first
            torch.testing.assert_close(fused(images), plain(images).clamp(0, 6))


def test_only_images_with_one_even_and_one_odd_side_are_copied(monkeypatch):
    padded = []
    pad = functional.pad
    monkeypatch.setattr(functional, "pad", lambda x, *args: padded.append(x) or pad(x, *args))
    fused = FusedConvolution(SAME["3x3"], nn.ReLU())
    batches = [torch.rand(1, 4, *size) for size in [(12, 14), (13, 15), (12, 15)]]
    with torch.inference_mode():
        for images in batches:
            fused(images)
    assert [any(images is one for one in padded) for images in batches] == [False, False, True]


@pytest.fixture
def fused_backbone():
    backbone = lively(TimmBackbone(name="mobilenetv2_100", arguments={"pad_type": "same"}))
    return backbone.for_inference()


def images_of(size):
    return torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))


def test_copies_give_the_same_features(fused_backbone):
    with torch.inference_mode():
        expected = fused_backbone(images_of((64, 64)))
    duplicate = copy.deepcopy(fused_backbone)
    with torch.no_grad():
        torch.testing.assert_close(duplicate(images_of((64, 64))), expected)
        torch.testing.assert_close(fused_backbone(images_of((64, 64))), expected)


def test_threads_share_a_network_and_sizes_take_turns(fused_backbone):
    sizes = [(64, 64), (65, 65), (96, 64), (64, 65)] * 4
    with torch.inference_mode():
        expected = [copy.deepcopy(fused_backbone)(images_of(size)) for size in sizes]

    def features(size):
        with torch.inference_mode():
            return fused_backbone(images_of(size))

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(features, sizes))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_a_build_that_cannot_pack_uses_plain_weights(monkeypatch):
    def lacking(self):
        raise RuntimeError

    fused = FusedConvolution(SAME["3x3"], nn.ReLU())
    images = torch.rand(2, 4, 12, 14)
    with torch.inference_mode():
        packed = fused(images)
        monkeypatch.setattr(torch.Tensor, "to_mkldnn", lacking)
        torch.testing.assert_close(copy.deepcopy(fused)(images), packed)


def test_the_backbone_itself_stays_as_it_was():
    backbone = lively(TimmBackbone(name="resnet18", arguments=NETWORKS["resnet18"]))
    before = backbone.describe()
    backbone.for_inference()
    assert backbone.describe() == before
    assert any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules())


class Twice(nn.Module):
    """Uses a convolution's output with and without its batch norm."""

    def __init__(self):
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.norm.running_mean.fill_(1.0)

    def forward(self, images):
        once = self.convolution(images)
        return [once + self.norm(once)]


def test_a_network_that_would_differ_is_left_as_it_is():
    network = Twice().eval()
    assert fused_network(network) is network


def test_a_build_without_the_operator_runs_the_plain_network(monkeypatch):
    def lacking(self, images):
        raise AttributeError

    monkeypatch.setattr(FusedConvolution, "forward", lacking)
    network = TimmBackbone(name="resnet18", arguments=NETWORKS["resnet18"]).network
    assert fused_network(network) is network
