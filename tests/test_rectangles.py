"""Models of images that are not square, from training to the saved file."""

import numpy as np
import pytest

from ahl import AHL
from ahl._common.tensor_file import read_tensor_file
from small_images import SIZE, small_image
from tiny import TinyBackbone, tiny_config

WIDE = (SIZE, 2 * SIZE)


def wide_image(class_name, number):
    """A good part on the left, and a part of the class on the right."""
    parts = [small_image("good", number), small_image(class_name, number)]
    return np.concatenate(parts, axis=1)


@pytest.fixture(scope="module")
def detector():
    config = tiny_config(epochs=12).with_image_size(WIDE)
    detector = AHL(backbone=TinyBackbone(), config=config, cache=None, seed=1)
    return detector.fit(
        [wide_image("good", i) for i in range(24)], [wide_image("dot", i) for i in range(4)]
    )


@pytest.fixture(scope="module")
def predictions(detector):
    return list(detector.predict([wide_image("dot", 40 + i) for i in range(4)], heat_maps=True))


def test_heat_maps_have_the_images_shape_and_point_at_the_defect(predictions):
    for prediction in predictions:
        assert prediction.heat_map.shape == WIDE
        assert prediction.heat_map[:, SIZE:].max() > prediction.heat_map[:, :SIZE].max()


def test_a_saved_model_scores_alike_and_knows_its_size(detector, predictions, tmp_path):
    detector.save(tmp_path / "wide.model")
    header, _ = read_tensor_file(tmp_path / "wide.model", "model")
    assert header["config"]["features"]["image_size"] == list(WIDE)
    loaded = AHL.load(tmp_path / "wide.model", backbones=[TinyBackbone], device="cpu")
    again = loaded.predict([wide_image("dot", 40 + i) for i in range(4)], heat_maps=True)
    for found, expected in zip(again, predictions, strict=True):
        assert found.score == expected.score
        np.testing.assert_array_equal(found.heat_map, expected.heat_map)
    assert loaded.scorer.card.image_size == WIDE


def test_a_size_of_auto_is_chosen_when_the_images_are_known():
    config = tiny_config(epochs=1).with_image_size("auto")
    detector = AHL(backbone=TinyBackbone(), config=config, cache=None)
    normals, defect = [wide_image("good", i) for i in range(6)], wide_image("dot", 0)
    model = detector.fit(normals, [defect]).model
    assert model.config.features.size == (160, 320)
    (prediction,) = detector.predict(normals[:1], heat_maps=True)
    assert prediction.heat_map.shape == (160, 320)
    assert detector.config.features.image_size is None  # other images get their own
    *tall, turned = [image.transpose(1, 0, 2) for image in (*normals, defect)]
    assert detector.fit(tall, [turned]).model.config.features.size == (320, 160)


def test_maps_of_ones_own_have_no_size():
    random = np.random.default_rng(0)
    normals, anomalies = (random.normal(i, 1, (12, 6, 4, 8)) for i in range(2))
    config = tiny_config(epochs=1).with_image_size("auto")
    model = AHL(config=config).fit_features((normals,), (anomalies[:2],)).model
    assert model.config.features.image_size is None
