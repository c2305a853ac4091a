"""The picture that people get: image, heat map, verdict, legend."""

import numpy as np
import pytest
from PIL import Image

from ahl._common.errors import ImageError
from ahl.scoring.overlay import BLUE, GREEN, RED
from ahl.scoring.prediction import Nearest, Prediction
from ahl.scoring.sheet import LONG, SHORT, draw_sheet, fitted


def told(value=9.0, **further):
    heat = np.zeros((16, 24), dtype=np.float32)
    heat[4:8, 4:8] = value
    return Prediction(index=0, score=3.0, heat_map=heat, colour_bounds=(1.0, 4.0), **further)


def drawn(source, prediction, folder, name="a.png"):
    draw_sheet(source, name, prediction, folder / "deep" / "sheet.png")
    with Image.open(folder / "deep" / "sheet.png") as image:
        return np.asarray(image)


def has(picture, colour):
    return bool((picture == np.array(colour)).all(axis=2).any())


def test_images_keep_their_proportions_enlarged_or_brought_down():
    for shape, size in (((20, 40), (SHORT // 2, SHORT)), ((4000, 1000), (LONG, LONG // 4))):
        assert fitted(np.zeros((*shape, 3), np.uint8)).shape == (*size, 3)
    assert fitted(np.zeros((700, 500, 3), np.uint8)).shape == (700, 500, 3)


def test_the_original_stands_beside_its_overlay(tmp_path):
    image = np.full((40, 60, 3), 77, dtype=np.uint8)
    sheet = drawn(image, told(), tmp_path)
    assert sheet.shape[1] == 2 * SHORT + 3 * 12
    untouched = (sheet == 77).all(axis=2)
    assert untouched[:, 12 : 12 + SHORT].any(axis=0).all()
    above = sheet[:400]  # the legend
    assert has(above[:, 12 + SHORT :], RED)
    assert not has(above[:, : 12 + SHORT], RED)
    assert has(drawn(image, told(0.5), tmp_path), BLUE)
    assert not has(sheet, GREEN)


def test_verdict_name_and_what_it_is_like_are_there(tmp_path):
    image = np.full((40, 60, 3), 77, dtype=np.uint8)
    plain = drawn(image, told(), tmp_path)
    called = drawn(image, told(anomalous=True, verdict="uncertain", probability=0.9), tmp_path)
    named = drawn(image, told(), tmp_path, name="b" * 400)
    assert (plain[:40] != called[:40, : plain.shape[1]]).any()
    assert named.shape == plain.shape, "long names are cut off"
    assert (named != plain).any()
    like = Nearest(
        name="good/1.png", class_name="good", distance=1.0, picture=image[:8, :8], place=None
    )
    both = drawn(image, told(nearest_normal=like, nearest_anomaly=like), tmp_path)
    assert both.shape[1] > plain.shape[1]


def test_wide_images_stand_one_above_the_other(tmp_path):
    sheet = drawn(np.full((100, 1000, 3), 77, dtype=np.uint8), told(), tmp_path)
    assert sheet.shape[1] == 1000 + 2 * 12


def test_an_unreadable_image_leaves_no_file(tmp_path):
    with pytest.raises(ImageError):
        draw_sheet(tmp_path / "gone.png", "gone", told(), tmp_path / "b.png")
    assert not (tmp_path / "b.png").exists()
