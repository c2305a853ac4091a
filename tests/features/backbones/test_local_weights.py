"""Weights from a local file: those that fit are taken, others are refused in words."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from ahl._common.errors import WeightsError
from ahl.features.backbones import TimmBackbone


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(WeightsError, match=r"no weights file .*nowhere"):
        TimmBackbone.load("resnet18", weights=tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a pickle", b"\xff" * 64])
def test_other_files_are_refused(content, suffix, tmp_path):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="not a readable weights file"):
        TimmBackbone.load("resnet18", weights=path)
    with pytest.raises(WeightsError, match="not a readable weights file"):
        TimmBackbone.load("resnet18", weights=tmp_path)


def test_weights_of_another_network_are_refused(resnet_weights, tmp_path):
    with pytest.raises(
        WeightsError, match=r"\d+ of the \d+ tensors .* are missing from .*timm name"
    ):
        TimmBackbone.load("resnet34", weights=resnet_weights)
    narrow = {**load_file(resnet_weights), "conv1.weight": torch.zeros(32, 3, 7, 7)}
    save_file(narrow, tmp_path / "narrow.safetensors")
    with pytest.raises(WeightsError, match=r"conv1\.weight has shape \(32, .*timm name"):
        TimmBackbone.load("resnet18", weights=tmp_path / "narrow.safetensors")


def test_half_precision_weights_serve_but_not_broken_ones(resnet_weights, tmp_path):
    state = load_file(resnet_weights)
    path = tmp_path / "weights.safetensors"
    half = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    save_file(half, path)
    backbone = TimmBackbone.load("resnet18", weights=path)
    assert torch.equal(backbone.tensors()["network.conv1.weight"], half["conv1.weight"].float())

    for broken in (
        torch.full_like(state["conv1.weight"], float("nan")),
        torch.ones(64, 3, 7, 7).int(),
    ):
        save_file({**state, "conv1.weight": broken}, path)
        with pytest.raises(WeightsError, match=r"conv1\.weight"):
            TimmBackbone.load("resnet18", weights=path)


def test_without_classifier_and_counters_it_fits(resnet_weights, tmp_path):
    state = load_file(resnet_weights)
    path = tmp_path / "weights.safetensors"
    kept = {k: v for k, v in state.items() if not k.startswith("fc") and "num_batches" not in k}
    save_file(kept, path)
    whole = TimmBackbone.load("resnet18", weights=resnet_weights)
    assert TimmBackbone.load("resnet18", weights=path).describe() == whole.describe()
