"""Networks fused for inference give the features of those that they were made of."""

import pytest
import torch
from torch import nn

from ahl.backbones import TimmBackbone
from ahl.backbones.fused import FusedConvolution, fused_network

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
@pytest.mark.parametrize("size", [(64, 64), (75, 130)], ids=str)
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
        raise NotImplementedError

    monkeypatch.setattr(FusedConvolution, "forward", lacking)
    network = TimmBackbone(name="resnet18", arguments=NETWORKS["resnet18"]).network
    assert fused_network(network) is network
