"""Images seen in tiles, from training to heat maps and the exported graph."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ahl import AHL, RunSettings
from ahl._common.errors import ConfigurationError, ModelFileError
from ahl.apps.export.onnx_model import ScoringGraph
from tiny import TinyBackbone, fit, tiny_config


class Fine(TinyBackbone):
    """Says that its stride is 8."""

    multiple = 16


def strip(number, defect=False):
    """Noise, 48 x 192 pixels, with or without a dot of 4 pixels."""
    random = np.random.default_rng(number)
    pixels = random.integers(110, 140, (48, 192, 3), dtype=np.uint8)
    if defect:
        top, left = random.integers(4, 40), random.integers(4, 184)
        pixels[top : top + 4, left : left + 4] = 255
    return pixels


def trained(**changes):
    config = replace(tiny_config(epochs=4), **changes)
    detector = AHL(backbone=Fine(), config=config, tiles=48, run=RunSettings(cache=None), seed=0)
    normals = [strip(i) for i in range(16)]
    return fit(detector, normals, [strip(100 + i, defect=True) for i in range(4)])


@pytest.fixture(scope="module")
def detector():
    return trained()


def test_images_keep_their_own_size_and_heads_the_share_of_a_tile(detector):
    features = detector.model_.config.features
    assert features.tiles == 48
    height, width = features.size
    assert height * width >= 48 * 192, "not brought down to the pixels of a whole image"
    assert detector.model_.detector.config.top_fraction == pytest.approx(
        0.1 * 48 * 48 / (height * width)
    )
    assert detector.model_.config.heads.top_fraction == 0.1


def test_small_defects_are_found_and_shown_where_they_are(detector):
    good = [strip(200 + i) for i in range(6)]
    bad = [strip(300 + i, defect=True) for i in range(6)]
    scores = detector.decision_function([*good, *bad])
    assert scores[:6].max() < scores[6:].min()
    (prediction,) = detector.explain([bad[0]], heat_maps=True)
    assert prediction.heat_map.shape == detector.model_.config.features.size
    row, column = np.unravel_index(prediction.heat_map.argmax(), prediction.heat_map.shape)
    scale = prediction.heat_map.shape[1] / 192
    rows, columns = np.nonzero((bad[0] == 255).all(axis=2))
    assert abs(row / scale - rows.mean()) < 12
    assert abs(column / scale - columns.mean()) < 12


def test_saved_loaded_and_exported_it_gives_the_same_scores(detector, tmp_path):
    detector.save(tmp_path / "m.ahl")
    loaded = AHL.load(tmp_path / "m.ahl", backbones=[Fine])
    images = [strip(300 + i, defect=i % 2 == 0) for i in range(4)]
    assert (loaded.decision_function(images) == detector.decision_function(images)).all()
    assert loaded.model_.detector.config == detector.model_.detector.config
    model = detector.model_
    height, width = model.config.features.size
    pixels = np.random.default_rng(0).integers(0, 256, (3, height, width, 3), dtype=np.uint8)
    expected = loaded.scorer.compute(pixels, heat_maps=True)
    with torch.no_grad():
        found = ScoringGraph(model)(torch.from_numpy(pixels))
    for name, values in expected.items():
        np.testing.assert_allclose(found[name].numpy(), values, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("tiles", [32, 50])
def test_tiles_that_do_not_suit_the_backbone_are_refused(tiles):
    class Coarse(TinyBackbone):
        multiple = 24

    config = tiny_config()
    config = replace(config, features=replace(config.features, tiles=tiles))
    coarse = AHL(backbone=Coarse(), config=config, run=RunSettings(cache=None))
    with pytest.raises(ConfigurationError, match=rf"tiles is {tiles}.*multiples of 12.*least 48"):
        fit(coarse, [strip(i) for i in range(3)], [strip(9, defect=True)])


@pytest.mark.parametrize(
    "features", [{"tiles": 16}, {"tiles": 64}, {"image_size": (4096, 4096)}, {"image_size": None}]
)
def test_model_files_with_sizes_that_cannot_be_are_refused(detector, features, tmp_path):
    model = detector.model_
    config = replace(model.config, features=replace(model.config.features, **features))
    if features == {"tiles": 64}:  # fits the backbone, and not the maps
        config = config.with_image_size((4096, 4096))
    replace(model, config=config).save(tmp_path / "m.ahl")
    with pytest.raises(ModelFileError):
        AHL.load(tmp_path / "m.ahl", backbones=[Fine])


def test_a_size_that_does_not_suit_tiles_is_refused_with_one_that_does():
    config = tiny_config(epochs=1).with_image_size((50, 192), 48)
    with pytest.raises(ConfigurationError, match=r"50x192.*multiples of 16.*auto"):
        fit(
            AHL(backbone=Fine(), config=config, run=RunSettings(cache=None)),
            [strip(i) for i in range(3)],
            [strip(9, defect=True)],
        )
