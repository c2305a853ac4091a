"""What a model keeps of its training images."""

import numpy as np
import pytest
import torch

from ahl import AHL, RunSettings
from ahl._common.errors import ImageError
from ahl._common.types import ImageItem
from ahl.features.maps import FeatureLayout
from ahl.features.table import FeatureTable
from ahl.model.exemplars import MOST, SIDE, Candidates, keep_exemplars, no_exemplars
from small_images import small_image
from tiny import TinyBackbone, fit, tiny_config

LAYOUT = FeatureLayout(((2, 2, 2),))


def table(count: int) -> FeatureTable:
    rows = np.arange(count, dtype=np.float16)[:, None].repeat(LAYOUT.row_size, axis=1)
    return FeatureTable.of_rows(LAYOUT, rows)


def item(value: int) -> ImageItem:
    def load():
        if value == 13:
            raise ImageError("gone")
        return np.full((9, 9, 3), value, np.uint8)

    return ImageItem(name=f"{value}.png", key=f"hash {value}", load=load)


def kept(normals: int, anomalies: int = 0, items: bool = True):
    groups = [
        Candidates(
            role=role,
            classes=[role] * count,
            items=[item(i) for i in range(first, first + count)] if items else None,
        )
        for role, first, count in (("normal", 0, normals), ("anomaly", normals, anomalies))
    ]
    return keep_exemplars(table(normals + anomalies), groups)


def test_few_images_are_all_kept_with_their_rows_and_pictures():
    found = kept(4, 2)
    assert [one.role for one in found.images] == ["normal"] * 4 + ["anomaly"] * 2
    assert [one.name for one in found.images] == [f"{i}.png" for i in range(6)]
    assert found.images[5].sha256 == "hash 5"
    assert found.rows[:, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert found.pictures.shape == (6, SIDE, SIDE, 3)
    assert found.picture(5).max() == found.picture(5).min() == 5


def test_of_many_evenly_spaced_ones_are_kept():
    found = kept(1000, 1, items=False)
    assert len(found.of_role("normal")) == MOST["normal"]
    rows = found.rows[:, 0].tolist()
    assert rows[0] == 0
    assert rows[-2:] == [999, 1000]
    assert np.diff(rows[:-1]).max() <= 4


def test_an_image_that_is_gone_has_a_black_picture():
    assert kept(14).picture(13).max() == 0


def test_features_alone_have_no_pictures():
    found = kept(3, 1, items=False)
    assert found.picture(0) is None
    assert len(found + kept(2, items=False)) == 6


def test_choosing_and_adding_keep_rows_and_pictures_together():
    found = kept(5, 2)
    again = found.chosen(np.array([0, 1])) + found.chosen(np.array([5, 6]))
    assert [one.name for one in again.images] == ["0.png", "1.png", "5.png", "6.png"]
    assert again.rows[:, 0].tolist() == [0, 1, 5, 6]
    assert again.picture(3).max() == 6
    assert len(no_exemplars(LAYOUT.row_size) + found) == 7


def test_numbers_beyond_half_precision_are_bounded():
    layout = FeatureLayout(((1, 1, 1),))
    large = FeatureTable.of_rows(layout, np.array([[6e4]], np.float16)).scaled(9.0)
    found = keep_exemplars(large, [Candidates(role="normal", classes=["good"], items=None)])
    assert found.rows.isfinite().all()


@pytest.fixture(scope="module")
def detector() -> AHL:
    detector = AHL(
        backbone=TinyBackbone(), config=tiny_config(epochs=2), run=RunSettings(cache=None)
    )
    return fit(detector, [small_image("good", i) for i in range(12)], [small_image("dot", 0)])


def test_a_trained_model_keeps_what_its_heads_saw(detector, tmp_path):
    model = detector.model_
    roles = [one.role for one in model.exemplars.images]
    assert roles.count("normal") == 12
    assert roles.count("anomaly") == 1
    assert {one.class_name for one in model.exemplars.images if one.role == "pseudo"} <= {
        "cutmix",
        "cutpaste",
        "draem",
    }
    assert len(model.exemplars.pictures) == len(roles)
    detector.save(tmp_path / "m.ahl")
    read = AHL.load(tmp_path / "m.ahl", backbones=[TinyBackbone]).model_.exemplars
    assert read.images == model.exemplars.images
    assert torch.equal(read.rows, model.exemplars.rows)
    assert torch.equal(read.pictures, model.exemplars.pictures)


def test_an_anomaly_scores_the_same_from_what_is_kept(detector):
    kept = detector.model_.exemplars.chosen(detector.model_.exemplars.of_role("anomaly"))
    again = detector.model_.score_prepared(kept.rows).score.double().numpy()
    assert again == pytest.approx(detector.decision_function([small_image("dot", 0)]), abs=0.02)
