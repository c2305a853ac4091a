"""What may be asked of timm: names, arguments and sizes; nothing else is let in."""

import json

import pytest
import torch

from ahl._common.errors import ConfigurationError, WeightsError
from ahl.features.backbones import TimmBackbone
from ahl.features.backbones.pretrained import outline


@pytest.mark.parametrize(
    "name",
    ["hf-hub:evil/x", "hf_hub:evil/x", "local-dir:/tmp/x", "evil/x", "/etc/passwd", "../resnet18",
     "C:\\x", "", "resnet18\n", "resnet18.", "resnet18@main", 5, None],
)  # fmt: skip
def test_addresses_and_paths_are_no_names(name):
    with pytest.raises(ConfigurationError, match="not the name of a timm model"):
        TimmBackbone(name=name)


def test_unknown_names_are_refused_with_close_ones():
    with pytest.raises(ConfigurationError, match=r"Did you mean .*mobilenetv2_"):
        TimmBackbone(name="mobilenetv2")
    with pytest.raises(ConfigurationError, match=r"for this model it has: .*resnet18\.a1_in1k"):
        TimmBackbone(name="resnet18.mine")


SMUGGLED = {
    "pretrained": True,
    "pretrained_cfg": "x",
    "pretrained_cfg_overlay": "x",
    "checkpoint_path": "x",
    "cache_dir": "x",
    "features_only": False,
    "feature_cls": "x",
    "out_indices": [1],
    "in_chans": 1,
    "scriptable": True,
    "not a word": 1,
    "width": {"a": 1},
    "act_layer": "hf-hub:evil",
    "norm_layer": "a/b",
    "depth": 10**9,
    "scale": float("nan"),
    "layers": [2000, 2000],
    "nested": [[1]],
}


@pytest.mark.parametrize("key", SMUGGLED)
def test_arguments_cannot_smuggle(key, monkeypatch):
    arguments = {key: SMUGGLED[key]}
    with pytest.raises(ConfigurationError, match="argument"):
        TimmBackbone(name="resnet18", arguments=arguments)
    whole = TimmBackbone(name="resnet18")
    rebuilt, tensors = {**whole.settings(), "arguments": arguments}, whole.tensors()
    # Refused for the arguments, before timm sees them.
    monkeypatch.setattr(
        "ahl.features.backbones.pretrained.outline", lambda *_: pytest.fail("it was built")
    )
    with pytest.raises(WeightsError, match=r"cannot be rebuilt \(.*[Bb]ackbone argument"):
        TimmBackbone.rebuild(rebuilt, tensors)


def test_arguments_that_timm_does_not_take_are_named():
    with pytest.raises(ConfigurationError, match=r"resnet18 with .*pad_type.*--backbone-arg"):
        TimmBackbone(name="resnet18", arguments={"pad_type": "same"})


def test_settings_cannot_exhaust_the_memory():
    settings = TimmBackbone(name="resnet18").settings()
    settings["arguments"] = {"base_width": 2048, "block": "x", "width": 1.0}
    with pytest.raises(WeightsError, match="cannot build"):
        TimmBackbone.rebuild(settings, {})
    large = {"embed_dim": 2048, "depth": 48, "num_heads": 2}
    with pytest.raises(ConfigurationError, match="too large"):
        TimmBackbone(name="vit_tiny_patch16_224", arguments=large)
    settings |= {"name": "vit_tiny_patch16_224", "arguments": large}
    with pytest.raises(WeightsError, match="too large"):
        TimmBackbone.rebuild(settings, {})


def test_tables_that_no_file_holds_cannot_exhaust_the_memory(monkeypatch):
    """The relative positions of large images: hundreds of times what the file holds."""
    name, stages = "vit_relpos_small_patch16_224", [3, 5, 7]
    arguments = {"img_size": 1024, "embed_dim": 64, "num_heads": 1}
    settings = {"name": name, "arguments": arguments, "stages": stages, "mean": [0], "std": [1]}
    shapes = outline(name, arguments, tuple(stages)).state_dict()
    tensors = {f"network.{key}": torch.zeros(value.shape) for key, value in shapes.items()}
    assert sum(value.nbytes for value in tensors.values()) < 2**22
    monkeypatch.setattr(TimmBackbone, "__init__", lambda *_, **__: pytest.fail("it was built"))
    with pytest.raises(WeightsError, match=r"tables of \d{3,4} MiB"):
        TimmBackbone.rebuild(settings, tensors)


def test_settings_are_json(resnet_weights):
    arguments = {"act_layer": "silu", "layers": (2, 2, 2, 2), "drop_rate": 0.0}
    backbone = TimmBackbone.load("resnet18", weights=resnet_weights, arguments=arguments)
    settings = json.loads(json.dumps(backbone.settings()))
    assert settings["arguments"] == {"act_layer": "silu", "layers": [2, 2, 2, 2], "drop_rate": 0.0}
    assert TimmBackbone.rebuild(settings, backbone.tensors()).describe() == backbone.describe()
