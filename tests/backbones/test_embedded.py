"""The backbone inside the package."""

import hashlib

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ahl.backbones import embedded, embedded_backbone
from ahl.backbones.choice import BackboneChoice
from ahl.backbones.embedded import ContrastLayer, EmbeddedBackbone
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


def test_written_weights_are_read_back(tmp_path, monkeypatch):
    changed, path = embedded_backbone(), tmp_path / "own.safetensors"
    with torch.no_grad():
        changed.first.filters.mul_(1.5)
    write_weights(changed, path)
    first = path.read_bytes()
    write_weights(changed, path)
    assert path.read_bytes() == first
    monkeypatch.setattr(embedded, "WEIGHTS", str(path))
    monkeypatch.setattr(embedded, "SHA256", hashlib.sha256(first).hexdigest())
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(embedded_backbone()(image), changed(image), atol=0.02, rtol=0.02)


def test_weights_that_half_precision_cannot_hold_are_not_written(tmp_path):
    huge = embedded_backbone()
    with torch.no_grad():
        huge.first.filters[0] = 1e6
    with pytest.raises(WeightsError, match="half precision"):
        write_weights(huge, tmp_path / "own.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("filters", [(0, 4), (4, -1), (4,), (1, 10**9), (2.0, 2), (True, 2)])
def test_impossible_numbers_of_filters_are_refused(filters):
    with pytest.raises(WeightsError, match="two numbers"):
        EmbeddedBackbone(filters=filters)


def test_a_response_is_that_of_the_whitened_normalised_patch():
    """The convolution with local statistics, against the definition patch by patch."""
    layer = ContrastLayer(5, 3, side=6, stride=2, contrast_floor=0.05)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        layer.filters.copy_(torch.randn(5, 3, 6, 6, generator=generator))
        layer.offsets.copy_(torch.randn(5, 1, 1, generator=generator))
    maps = torch.rand(1, 3, 20, 20, generator=generator)
    found, spread = layer.means(maps, 2)[0], layer.statistics(maps, 2)[0, 11:]
    padded = torch.nn.functional.pad(maps, [2, 2, 2, 2], mode="replicate")[0].double()
    filters, offsets = layer.filters.detach().double(), layer.offsets.detach().double().flatten()

    def response(row, column):
        patch = padded[:, 2 * row : 2 * row + 6, 2 * column : 2 * column + 6]
        contrast = (patch.var(correction=0) + layer.contrast_floor).sqrt()
        value = (filters * (patch - patch.mean()) / contrast).sum((1, 2, 3)) + offsets
        return torch.cat([value.relu(), (-value).relu(), contrast.log()[None]])

    for row, column in ((0, 0), (1, 3), (4, 4)):
        window = [(2 * row + y, 2 * column + x) for y in (0, 1) for x in (0, 1)]
        each = torch.stack([response(*place) for place in window])
        at = slice(None), row, column
        torch.testing.assert_close(found[at].double(), each.mean(0), atol=1e-4, rtol=1e-4)
        wide = each.std(0, correction=0).clamp_min(embedded._LEAST_VARIANCE**0.5)
        torch.testing.assert_close(spread[at].double(), wide, atol=2e-3, rtol=2e-3)
    torch.testing.assert_close(layer.statistics(maps, 2)[0, :11], found)


def test_statistics_of_a_cell_are_its_mean_and_spread():
    maps = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    found = embedded.statistics(maps, 4)
    cells = maps.view(2, 3, 2, 4, 2, 4).movedim(3, 4).flatten(-2)
    expected = torch.cat([cells.mean(-1), cells.std(-1, correction=0)], dim=1)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_the_grid_is_one_cell_for_32_pixels():
    shapes = [
        tuple(embedded_backbone()(torch.zeros(1, 3, height, width)).shape[2:])
        for height, width in ((224, 224), (112, 112), (96, 32), (320, 320))
    ]
    assert shapes == [(7, 7), (4, 4), (3, 1), (10, 10)]


def test_it_is_had_by_name_and_takes_no_timm_options():
    assert BackboneChoice(backbone="embedded").build().describe() == embedded_backbone().describe()
    for options in ({"arguments": {"a": 1}}, {"stages": (1,)}):
        with pytest.raises(ConfigurationError, match="go with a timm backbone"):
            BackboneChoice(backbone="embedded", **options).build()


def test_weights_of_ones_own_are_taken(tmp_path):
    changed, path = embedded_backbone(), tmp_path / "own.safetensors"
    with torch.no_grad():
        changed.first.filters.mul_(1.5)
    write_weights(changed, path)
    own = BackboneChoice(backbone="embedded", weights=path).build()
    assert own.describe() != embedded_backbone().describe()
    assert own.settings() == changed.settings()


@pytest.mark.parametrize("content", [b"no tensors", b"", None])
def test_a_file_of_something_else_is_one_clear_error(content, tmp_path):
    path = tmp_path / "other.safetensors"
    if content is None:
        save_file({"conv.weight": torch.zeros(3)}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match="pretrain"):
        BackboneChoice(backbone="embedded", weights=path).build()


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
