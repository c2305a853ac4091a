"""The backbone inside the package."""

import hashlib

import numpy as np
import pytest
import torch

from ahl.backbone_choice import BackboneChoice
from ahl.backbones import embedded, embedded_backbone
from ahl.backbones.embedded import untrained_backbone
from ahl.errors import ConfigurationError, WeightsError
from ahl.pretrain.weights import write_weights

LARGEST = 8_000_000
"""Bytes that the weights may take."""


@pytest.fixture
def weights_file():
    return embedded.weights_file()


def test_the_weights_are_small_and_those_of_this_version(weights_file):
    data = weights_file.read_bytes()
    assert len(data) <= LARGEST
    assert hashlib.sha256(data).hexdigest() == embedded.SHA256


def test_their_card_names_them():
    card = embedded.weights_file().parent / "embedded.md"
    assert embedded.SHA256 in card.read_text()


@pytest.mark.parametrize("damage", ["missing", "cut", "altered"])
def test_other_weights_are_refused(damage, weights_file, tmp_path, monkeypatch):
    other = tmp_path / "other.safetensors"
    data = bytearray(weights_file.read_bytes())
    if damage == "altered":
        data[-1] ^= 1
    if damage != "missing":
        other.write_bytes(data[: len(data) // 2] if damage == "cut" else data)
    monkeypatch.setattr(embedded, "WEIGHTS", str(other))
    with pytest.raises(WeightsError, match="Install ahl again"):
        embedded_backbone()


def test_weights_that_are_no_tensors_are_refused(tmp_path, monkeypatch):
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"not tensors")
    monkeypatch.setattr(embedded, "WEIGHTS", str(other))
    monkeypatch.setattr(embedded, "SHA256", hashlib.sha256(b"not tensors").hexdigest())
    with pytest.raises(WeightsError, match="Install ahl again"):
        embedded_backbone()


def test_written_weights_are_read_back(tmp_path, monkeypatch):
    untrained, path = untrained_backbone(3), tmp_path / "own.safetensors"
    write_weights(untrained, path)
    first = path.read_bytes()
    write_weights(untrained, path)
    assert path.read_bytes() == first
    monkeypatch.setattr(embedded, "WEIGHTS", str(path))
    monkeypatch.setattr(embedded, "SHA256", hashlib.sha256(first).hexdigest())
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(
            embedded_backbone()(image), untrained(image), atol=0.01, rtol=0.01
        )


def test_it_is_had_by_name_and_takes_no_timm_options(tmp_path):
    assert BackboneChoice(backbone="embedded").build().describe() == embedded_backbone().describe()
    for options in ({"weights": tmp_path}, {"arguments": {"a": 1}}, {"stages": (1,)}):
        with pytest.raises(ConfigurationError, match="timm backbone only"):
            BackboneChoice(backbone="embedded", **options).build()


def test_a_scratch_moves_its_own_cell_most():
    backbone = embedded_backbone()
    y, x = np.mgrid[:224, :224]
    grain = np.random.default_rng(0).normal(0, 3, (224, 224))
    plain = 120 + 20 * np.sin(x / 3) + grain
    scratched = np.where(np.abs((x - 176) - 0.3 * (y - 80)) < 1.5, plain - 60, plain)
    scratched = np.where(np.abs(y - 80) < 14, scratched, plain)
    images = np.stack([plain, scratched]).clip(0, 255).astype(np.float32) / 255
    batch = torch.from_numpy(images)[:, None].expand(-1, 3, -1, -1)
    with torch.inference_mode():
        plain_map, scratched_map = backbone(batch)
    change = (scratched_map - plain_map).square().mean(0)
    row, column = divmod(int(change.argmax()), change.shape[1])
    assert (row, column) == (2, 5)


def test_it_can_be_exported():
    """As a plain graph, which is what other runtimes take."""
    backbone, images = embedded_backbone(), torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        exported = torch.export.export(backbone, (images,))
        torch.testing.assert_close(exported.module()(images), backbone(images))
