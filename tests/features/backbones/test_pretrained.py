"""timm networks: right weights in the right places, normalised as the weights were trained."""

import pytest
import torch

from ahl._common.errors import ConfigurationError
from ahl.features.backbones import TimmBackbone
from features.backbones.whole_networks import save_whole_network

# Index of the intermediate map that each of the default stages is.
NETWORKS = {
    "resnet18": ({}, (2, 3, 4)),
    "mobilenetv2_100": ({"pad_type": "same"}, (2, 3, 4)),
    "efficientnet_b0": ({}, (2, 3, 4)),
    "convnext_tiny": ({}, (1, 2, 3)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_features_are_the_maps_of_the_whole_network(name, tmp_path):
    arguments, stages = NETWORKS[name]
    path = tmp_path / "weights.safetensors"
    network = save_whole_network(path, name, **arguments)
    backbone = TimmBackbone.load(name, weights=path, arguments=arguments)
    assert backbone.stages == stages, "the last three"
    images = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        normalised = (images - torch.tensor(backbone.mean).view(3, 1, 1)) / torch.tensor(
            backbone.std
        ).view(3, 1, 1)
        maps = network.forward_intermediates(normalised, intermediates_only=True)
        expected = [maps[stage] for stage in stages]
        found = backbone(images).split([each.shape[1] for each in expected], dim=1)
    assert found[-1].shape == expected[-1].shape == (2, expected[-1].shape[1], 2, 3)
    for mine, theirs in zip(found, expected, strict=True):
        side = theirs.shape[-1] // 3
        pooled = torch.nn.functional.avg_pool2d(theirs, side)
        torch.testing.assert_close(mine, pooled, rtol=1e-3, atol=1e-4 * pooled.abs().max().item())


def test_stages_can_be_chosen(resnet_weights):
    backbone = TimmBackbone.load("resnet18", weights=resnet_weights, stages=(1, 3))
    assert backbone(torch.zeros(1, 3, 64, 64)).shape == (1, 64 + 256, 4, 4)
    # Layer 4 is not needed, so it is neither built nor kept.
    assert not any("layer4" in key for key in backbone.tensors())


@pytest.mark.parametrize("stages", [(5,), (-1,), (), (2, 2), (3, 2), (1.0,), (True,), ("2",)])
def test_other_stages_are_refused_with_the_ones_there_are(stages):
    with pytest.raises(ConfigurationError, match=r"0 to 4: .* strides 2, 4, 8, 16, 32"):
        TimmBackbone(name="resnet18", stages=stages)


@pytest.mark.parametrize(
    ("name", "arguments", "local", "mean"),
    [
        ("resnet18", {}, True, (0.485, 0.456, 0.406)),
        ("mobilenetv2_100", {}, True, (0.485, 0.456, 0.406)),
        ("mobilenetv2_100", {"pad_type": "same"}, True, (0.5, 0.5, 0.5)),
        # Downloaded, these weights are timm's own, whatever the padding.
        ("mobilenetv2_100", {"pad_type": "same"}, False, (0.485, 0.456, 0.406)),
        ("tf_efficientnet_b0.ap_in1k", {}, True, (0.5, 0.5, 0.5)),
        ("tf_efficientnet_b0.ns_jft_in1k", {"pad_type": "same"}, True, (0.485, 0.456, 0.406)),
    ],
)
def test_mean_is_that_of_the_weights(name, arguments, local, mean, monkeypatch, tmp_path):
    monkeypatch.setattr("ahl.features.backbones.weights.fetch_weights", lambda name: path)
    path = tmp_path / "weights.safetensors"
    save_whole_network(path, name, **arguments)
    backbone = TimmBackbone.load(name, weights=path if local else None, arguments=arguments)
    assert backbone.mean == mean
    assert backbone.settings()["mean"] == list(mean)


@pytest.mark.parametrize("value", [0.25, "0.25", "0.25,0.25,0.25", [0.25] * 3, (0.25,) * 3])
def test_mean_and_std_can_be_given(value, resnet_weights):
    arguments = {"mean": value, "std": value}
    backbone = TimmBackbone.load("resnet18", weights=resnet_weights, arguments=arguments)
    assert backbone.mean == backbone.std == (0.25, 0.25, 0.25)
    assert backbone.arguments == {}


def test_mean_zero_is_a_mean(resnet_weights):
    backbone = TimmBackbone.load("resnet18", weights=resnet_weights, arguments={"mean": 0})
    assert backbone.mean == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    "arguments",
    [{"mean": "a"}, {"mean": [1, 2]}, {"std": 0}, {"std": -1}, {"mean": float("inf")}, {"std": {}}],
)
def test_impossible_mean_and_std_are_refused(arguments, resnet_weights):
    with pytest.raises(ConfigurationError, match=next(iter(arguments))):
        TimmBackbone.load("resnet18", weights=resnet_weights, arguments=arguments)
