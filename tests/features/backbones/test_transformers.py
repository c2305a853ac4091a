"""Plain vision transformers: positions for every size, weights as their authors publish them."""

import numpy as np
import onnxruntime
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed

from ahl import AHL, RunSettings
from ahl._common.errors import ConfigurationError, WeightsError
from ahl.config import FeatureConfig
from ahl.features.backbones import TimmBackbone
from ahl.features.extractor import FeatureExtractor
from small_images import small_image
from tiny import fit, tiny_config

CPU = torch.device("cpu")

NAME = "vit_tiny_patch16_224"
SMALL = {"depth": 6, "embed_dim": 24, "num_heads": 2}


def whole(image_size=224, **arguments):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = timm.create_model(NAME, img_size=image_size, **SMALL, **arguments)
        network.pos_embed.data.normal_()
    return network.eval()


def saved(network, path):
    save_file(network.state_dict(), path)
    return path


def normalised(backbone, images):
    return (images - backbone.shift) / backbone.scale


@pytest.fixture
def backbone(tmp_path):
    weights = saved(whole(), tmp_path / "vit.safetensors")
    return TimmBackbone.load(NAME, weights=weights, arguments=SMALL)


def test_by_its_name_it_takes_every_size_in_whole_patches(backbone):
    assert backbone.stages == (2, 3, 4), "the middle of six blocks"
    for size, grid in {(224, 224): (14, 14), (112, 112): (7, 7), (60, 230): (4, 14)}.items():
        assert backbone(torch.zeros(1, 3, *size)).shape == (1, 3 * 24, *grid)


def test_timms_own_arguments_for_other_sizes_still_serve():
    backbone = TimmBackbone(
        name=NAME, arguments={"dynamic_img_size": True, "dynamic_img_pad": True}, stages=(11,)
    )
    assert backbone(torch.zeros(1, 3, 112, 112)).shape == (1, 192, 7, 7)


def test_maps_are_those_of_the_whole_network_with_positions_of_the_size(backbone):
    images = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    network = whole(image_size=(64, 96))
    state = whole().state_dict()
    state["pos_embed"] = resample_abs_pos_embed(state["pos_embed"], [4, 6], [14, 14])
    network.load_state_dict(state)
    with torch.inference_mode():
        expected = network.forward_intermediates(
            normalised(backbone, images), indices=[2, 3, 4], intermediates_only=True
        )
        found = backbone(images)
    torch.testing.assert_close(found, torch.cat(expected, 1), rtol=1e-4, atol=1e-4)


def test_weights_of_another_image_size_are_fitted(tmp_path):
    network = whole(image_size=96)
    weights = saved(network, tmp_path / "vit.safetensors")
    backbone = TimmBackbone.load(NAME, weights=weights, arguments=SMALL)
    expected = resample_abs_pos_embed(network.pos_embed.detach(), [14, 14], [6, 6])
    torch.testing.assert_close(backbone.network.model.pos_embed.detach(), expected)


def test_the_authors_checkpoint_is_taken_as_it_is(tmp_path):
    """DINOv2's file at 518 px has a mask token, and no classifier."""
    arguments = {"depth": 6, "embed_dim": 24, "num_heads": 2}
    with torch.random.fork_rng(devices=[]):
        network = timm.create_model("vit_small_patch14_dinov2", **arguments)
    state = {**network.state_dict(), "mask_token": torch.zeros(1, 24)}
    assert state["pos_embed"].shape == (1, 1 + 37 * 37, 24)
    torch.save(state, tmp_path / "dinov2_vits14_pretrain.pth")
    backbone = TimmBackbone.load(
        "dinov2-small", weights=tmp_path / "dinov2_vits14_pretrain.pth", arguments=arguments
    )
    assert backbone.settings()["name"] == "vit_small_patch14_dinov2"
    assert backbone(torch.zeros(1, 3, 224, 224)).shape == (1, 72, 16, 16)
    assert backbone(torch.zeros(1, 3, 112, 112)).shape == (1, 72, 8, 8)
    fitted = backbone.network.model.patch_embed.proj.weight
    assert torch.equal(fitted, state["patch_embed.proj.weight"])


def test_patches_of_14_pixels_train_and_score_end_to_end(tmp_path):
    """Where patches do not divide the sizes that other networks are tried out with."""
    backbone = TimmBackbone(
        name="vit_small_patch14_dinov2", arguments={"depth": 3, "embed_dim": 24, "num_heads": 2}
    )
    assert FeatureExtractor(backbone, FeatureConfig(image_size=(112, 84)), CPU).layout.scales == (
        (24 * len(backbone.stages), 8, 6),
        (24 * len(backbone.stages), 4, 3),
    )
    config = tiny_config(epochs=1).with_image_size("auto")
    detector = AHL(backbone=backbone, config=config, run=RunSettings(cache=None))
    fit(detector, [small_image("good", i) for i in range(8)], [small_image("dot", 0)])
    assert detector.model_.config.features.size == (224, 224)
    detector.save(tmp_path / "m.ahl")
    found = AHL.load(tmp_path / "m.ahl").decision_function([small_image("dot", 5)])
    assert found == detector.decision_function([small_image("dot", 5)])


def test_weights_with_registers_are_refused_in_words(tmp_path):
    arguments = {"depth": 3, "embed_dim": 24, "num_heads": 2}
    with torch.random.fork_rng(devices=[]):
        network = timm.create_model("vit_small_patch14_reg4_dinov2", **arguments)
    state = {**network.state_dict(), "mask_token": torch.zeros(1, 24)}
    torch.save(state, tmp_path / "reg4.pth")
    with pytest.raises(WeightsError, match=r"reg4"):
        TimmBackbone.load("dinov2-small", weights=tmp_path / "reg4.pth", arguments=arguments)


class Harmful:
    def __reduce__(self):
        return (print, ("run",))


@pytest.mark.parametrize(
    "content", [{"weight": Harmful()}, {"weight": torch.zeros(1), "epoch": 3}, [torch.zeros(1)]]
)
def test_checkpoints_that_hold_more_than_tensors_are_refused_and_not_run(content, tmp_path, capsys):
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match=r"tensors by name and nothing else"):
        TimmBackbone.load(NAME, weights=tmp_path / "weights.pth", arguments=SMALL)
    assert not capsys.readouterr().out


def test_networks_for_one_size_only_are_refused_with_some_that_are_not():
    with pytest.raises(ConfigurationError, match=r"any size.*dinov2-small"):
        TimmBackbone(name="mixer_s32_224")


def test_the_exported_graph_gives_the_same_maps(backbone, tmp_path):
    class Both(torch.nn.Module):
        def forward(self, images):
            return backbone(images), backbone(torch.nn.functional.avg_pool2d(images, 2))

    images = torch.rand(2, 3, 96, 64, generator=torch.Generator().manual_seed(0))
    program = torch.onnx.export(
        Both().eval(),
        (images,),
        dynamo=True,
        verbose=False,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
    )
    program.save(tmp_path / "vit.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "vit.onnx")
    more = torch.rand(3, 3, 96, 64, generator=torch.Generator().manual_seed(1))
    found = session.run(None, {session.get_inputs()[0].name: more.numpy()})
    with torch.inference_mode():
        for one, expected in zip(found, Both()(more), strict=True):
            np.testing.assert_allclose(one, expected.numpy(), atol=1e-4)
