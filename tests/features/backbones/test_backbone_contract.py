"""What every backbone promises.

To check a backbone of your own, add a function that makes one to `MAKERS`. It gets a folder to
write to and must make the same backbone each time.
"""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ahl._common.errors import ModelFileError, WeightsError
from ahl.features.backbones import (
    BACKBONES,
    BackboneDescription,
    TimmBackbone,
    hash_tensors,
    rebuild_backbone,
)


def drawn_images(count, size=64, seed=0):
    """Stripes, a disc and noise: (count, size, size, 3), uint8."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    images = []
    for _ in range(count):
        stripes = np.sin((x + random.uniform()) * random.uniform(10, 40))
        disc = np.hypot(x - random.uniform(0.3, 0.7), y - 0.5) < 0.2
        grey = 120 + 40 * stripes + 60 * disc + random.normal(0, 4, (size, size))
        images.append(np.stack([grey, grey * 0.9, 255 - grey], axis=2).clip(0, 255))
    return np.array(images).astype(np.uint8)


def timm_from_file(folder: Path, name, **arguments):
    import timm

    path = folder / f"{name}.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_file(timm.create_model(name, **arguments).state_dict(), path)
    return TimmBackbone.load(name, weights=path, arguments=arguments)


MAKERS = {
    "resnet18": lambda folder: timm_from_file(folder, "resnet18"),
    "mobilenetv2_100": lambda folder: timm_from_file(folder, "mobilenetv2_100", pad_type="same"),
    "vit": lambda folder: timm_from_file(
        folder, "vit_tiny_patch16_224", depth=6, embed_dim=24, num_heads=2
    ),
    "efficientnet-lite0": lambda folder: TimmBackbone.load("efficientnet-lite0"),
}

ODD = (None, -1, 10**30, [10**400] * 3, "x", [], [1, "x"], {"a": {}}, float("nan"))
"""Values that no setting has."""

SIZES = [(224, 224), (112, 112), (64, 64), (16, 16), (17, 16), (37, 90), (30, 200)]


@pytest.fixture(scope="module", params=MAKERS)
def maker(request):
    return MAKERS[request.param]


@pytest.fixture(scope="module")
def backbone(maker, tmp_path_factory):
    return maker(tmp_path_factory.mktemp("weights"))


def batch(count=3, size=64):
    return torch.from_numpy(drawn_images(count, size, seed=1)).permute(0, 3, 1, 2).float() / 255


def features(backbone, images):
    with torch.inference_mode():
        return backbone(images)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_any_size_gives_finite_maps_of_as_many_channels(backbone, size):
    found = features(backbone, torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0)))
    assert found.dtype == torch.float32
    assert found.shape[:2] == (2, features(backbone, batch(1)).shape[1])
    assert min(found.shape[2:]) >= 1
    assert found.isfinite().all()


def test_half_size_has_about_half_the_grid(backbone):
    full, half = (features(backbone, torch.zeros(1, 3, size, size)).shape[2] for size in (224, 112))
    assert full / 2 - 1 <= half <= full / 2 + 1


def test_features_do_not_depend_on_the_batch(backbone):
    # Not bit for bit: matrix products may add up in another order in a larger batch.
    images = batch(5)
    together = features(backbone, images)
    alone = torch.cat([features(backbone, image[None]) for image in images])
    shuffled = features(backbone, images.flip(0)).flip(0)
    tolerance = 1e-5 * together.abs().max().item()
    torch.testing.assert_close(alone, together, rtol=1e-5, atol=tolerance)
    torch.testing.assert_close(shuffled, together, rtol=1e-5, atol=tolerance)


def test_features_differ_between_images_and_within_one(backbone):
    found = features(backbone, batch(2, 128))
    assert not torch.equal(found[0], found[1])
    assert found[0].flatten(1).std(dim=1).max() > 0


def test_same_input_gives_the_same_bits(backbone):
    assert torch.equal(features(backbone, batch()), features(backbone, batch()))


def test_made_again_it_is_the_same(maker, backbone, tmp_path):
    again = maker(tmp_path)
    assert again.describe() == backbone.describe()
    assert torch.equal(features(again, batch()), features(backbone, batch()))


def test_making_one_leaves_the_global_random_state_alone(maker, tmp_path):
    torch_before = torch.get_rng_state()
    numpy_before = np.random.get_state()[1].copy()  # noqa: NPY002
    maker(tmp_path)
    assert torch.equal(torch.get_rng_state(), torch_before)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002


def test_it_comes_in_evaluation_mode(backbone):
    assert not any(module.training for module in backbone.modules())


def test_input_and_weights_stay_as_they_are(backbone):
    images, before = batch(), backbone.describe()
    kept = images.clone()
    features(backbone, images)
    assert torch.equal(images, kept)
    assert backbone.describe() == before


def test_memory_layout_of_the_input_does_not_matter(backbone):
    images = batch()
    last = images.contiguous(memory_format=torch.channels_last)
    found, expected = features(backbone, last), features(backbone, images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


def test_settings_survive_json(backbone):
    settings = backbone.settings()
    assert json.loads(json.dumps(settings, allow_nan=False)) == settings


def test_rebuilt_it_gives_the_same_bits(backbone):
    description = backbone.describe()
    stored = BackboneDescription(
        kind=description.kind,
        settings=json.loads(json.dumps(description.settings)),
        weights_sha256=description.weights_sha256,
    )
    rebuilt = rebuild_backbone(stored, backbone.tensors(), extra=[type(backbone)])
    assert type(rebuilt) is type(backbone)
    assert not any(module.training for module in rebuilt.modules())
    assert rebuilt.describe() == description
    for size in (64, 32):
        assert torch.equal(
            features(rebuilt, batch(size=size)), features(backbone, batch(size=size))
        )


def test_tensors_can_be_stored(backbone, tmp_path):
    tensors = backbone.tensors()
    assert tensors
    assert all(each.device.type == "cpu" and each.is_contiguous() for each in tensors.values())
    save_file(tensors, tmp_path / "tensors.safetensors")


def test_fingerprint_names_weights_and_settings(backbone):
    description = backbone.describe()
    altered = copy.deepcopy(backbone)
    with torch.no_grad():
        next(each for each in altered.state_dict().values() if each.is_floating_point()).add_(1e-3)
    assert altered.describe().fingerprint != description.fingerprint
    other = BackboneDescription(
        kind=description.kind,
        settings={**description.settings, "more": 1},
        weights_sha256=description.weights_sha256,
    )
    assert other.fingerprint != description.fingerprint


def test_rebuild_refuses_tensors_that_do_not_fit(backbone):
    tensors = backbone.tensors()
    name = next(key for key, each in tensors.items() if each.is_floating_point())
    hostile = [
        {},
        {**tensors, "unknown": torch.zeros(1)},
        {key: each for key, each in tensors.items() if key != name},
        {**tensors, name: tensors[name].flatten()[:1]},
        {**tensors, name: tensors[name].double()},
        {**tensors, name: torch.full_like(tensors[name], float("nan"))},
    ]
    for each in hostile:
        with pytest.raises(WeightsError):
            type(backbone).rebuild(backbone.settings(), each)


def test_rebuild_refuses_settings_that_are_not_its_own(backbone):
    settings, tensors = backbone.settings(), backbone.tensors()
    hostile = [{}, [], None, *({**settings, key: value} for key in settings for value in ODD)]
    for each in hostile:
        if each != settings:
            with pytest.raises(WeightsError):
                type(backbone).rebuild(each, tensors)


def test_weights_can_be_trained(backbone):
    trained = copy.deepcopy(backbone).train()
    trainable = [each for each in trained.parameters() if each.requires_grad]
    if not trainable:
        pytest.skip("this backbone has no weights to fine-tune")
    trained(batch(4)).square().mean().backward()
    assert any(each.grad is not None and each.grad.abs().sum() > 0 for each in trainable)
    assert all(each.grad is None or each.grad.isfinite().all() for each in trainable)


def test_kinds_are_unique():
    kinds = [each.kind for each in BACKBONES]
    assert len(set(kinds)) == len(kinds)


def test_unknown_kind_is_refused_with_the_known_ones():
    description = BackboneDescription(kind="mine", settings={}, weights_sha256=hash_tensors({}))
    with pytest.raises(WeightsError, match=r"'mine'.*known here: timm\..*backbones="):
        rebuild_backbone(description, {})


def test_a_model_of_the_embedded_backbone_is_refused_with_the_way_out():
    settings = {"version": 2, "filters": [40, 80]}
    description = BackboneDescription(kind="embedded", settings=settings, weights_sha256="0")
    with pytest.raises(
        ModelFileError, match=r"^This model .* embedded .* no longer exists: train it again"
    ):
        rebuild_backbone(description, {})


def test_altered_weights_are_refused():
    backbone = TimmBackbone(name="resnet18", arguments={"channels": [8, 8, 8, 8]})
    tensors = backbone.tensors()
    name = next(iter(tensors))
    tensors[name] = tensors[name] + 1
    with pytest.raises(WeightsError, match="altered"):
        rebuild_backbone(backbone.describe(), tensors)
