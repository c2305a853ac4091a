"""Normal images that a threshold may be set on."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from ahl import AHL, RunSettings
from ahl._common.callbacks import Callback
from ahl._common.errors import DataError
from ahl._common.types import GOOD
from ahl.data.images.reading import content_hash
from ahl.data.images.sources import label_images
from ahl.scoring.thresholds import (
    out_of_fold_anomalies,
    out_of_fold_normals,
    score_new_normals,
    set_threshold,
)
from small_images import blotched
from tiny import TinyBackbone, fit, tiny_config

CPU = torch.device("cpu")


def images(count, seed):
    return list(np.random.default_rng(seed).integers(0, 255, (count, 48, 48, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def detector():
    detector = AHL(
        backbone=TinyBackbone(), config=tiny_config(epochs=2), run=RunSettings(cache=None)
    )
    return fit(detector, images(12, 0), images(3, 1))


def test_neither_training_images_nor_copies_count(detector):
    new = images(4, 2)
    given = [*new, new[0], *images(12, 0), np.zeros((2, 2), dtype=np.float64)]
    found = score_new_normals(detector.model_, label_images(given, GOOD), CPU)
    assert found.trained_on == 12
    assert found.same_part == 0, "equal images are one image"
    assert [one.name for one in found.skipped] == ["good[17]"]
    assert found.skipped[0].reason
    np.testing.assert_array_equal(found.scores, detector.decision_function(new))


def test_what_the_training_left_out_is_one_score_a_normal(detector):
    assert len(out_of_fold_normals(detector.model_).scores) == 12


def test_a_model_without_them_says_what_to_give(detector):
    with pytest.raises(DataError, match="give good images"):
        out_of_fold_normals(replace(detector.model_, calibration=None))


def test_it_is_set_kept_and_told_with_each_prediction(tmp_path):
    detector = AHL(
        backbone=TinyBackbone(), config=tiny_config(epochs=2), run=RunSettings(cache=None)
    )
    fit(detector, images(12, 0), images(3, 1))
    assert next(detector.explain(images(1, 0))).verdict is None
    decision = detector.threshold(max_false_alarm_rate=0.2)
    assert (decision.normals, decision.held_out) == (12, True)
    detector.save(tmp_path / "m.ahl")
    loaded = AHL.load(tmp_path / "m.ahl", backbones=[TinyBackbone])
    assert loaded.model_.decision == decision
    for prediction in loaded.explain([*images(3, 0), *images(3, 1)]):
        assert prediction.anomalous == (prediction.score > decision.threshold)
        assert prediction.verdict == decision.verdict(prediction.score)
    new = detector.threshold(images(6, 5), max_false_alarm_rate=0.2)
    assert (new.normals, new.held_out) == (6, False)
    with pytest.raises(DataError, match="needed"):
        detector.threshold(images(6, 5), max_false_alarm_rate=0.01)


def photographs_of_parts(count, first):
    """Three exposures of each of some blotched parts, in turn."""
    return [
        blotched(number, light) for number in range(first, first + count) for light in (1, 0.8, 0.6)
    ]


@pytest.fixture(scope="module")
def of_parts():
    detector = AHL(
        backbone=TinyBackbone(), config=tiny_config(epochs=2), run=RunSettings(cache=None)
    )
    return fit(detector, photographs_of_parts(12, 0)[::3], images(3, 1))


def test_photographs_of_trained_parts_are_left_out_and_those_of_one_part_are_one(of_parts):
    new = photographs_of_parts(5, 100)
    trained = photographs_of_parts(12, 0)
    found = score_new_normals(of_parts.model_, label_images([*new, *trained], GOOD), CPU)
    assert (found.trained_on, found.trained_parts, found.same_part) == (12, 24, 10)
    scores = of_parts.decision_function(new).reshape(5, 3)
    assert len(found.scores) == 5
    assert all(score in row for score, row in zip(found.scores, scores, strict=True))
    again = score_new_normals(of_parts.model_, label_images([*trained, *new[::-1]], GOOD), CPU)
    assert sorted(again.scores) == sorted(found.scores), "whatever the order"
    with pytest.raises(
        DataError, match=r"5 good images .*given, 12 were trained on, 24 show parts"
    ):
        of_parts.threshold([*new, *trained])


def test_names_tell_the_parts_of_good_images(of_parts, tmp_path):
    paths = []
    for index, image in enumerate(images(8, 9)):
        paths.append(tmp_path / f"shot{index}_part{index // 2}.png")
        Image.fromarray(image).save(paths[-1])
    good = label_images(paths, GOOD)
    found = score_new_normals(of_parts.model_, good, CPU, group_by=r"part\d")
    assert (len(found.scores), found.same_part) == (4, 4)
    assert len(score_new_normals(of_parts.model_, good, CPU).scores) == 8
    told = [replace(image, part=str(index // 4)) for index, image in enumerate(good)]
    found = score_new_normals(of_parts.model_, told, CPU)
    assert (len(found.scores), found.same_part) == (2, 6)


def test_out_of_fold_scores_are_one_a_part(tmp_path):
    detector = AHL(
        backbone=TinyBackbone(), config=tiny_config(epochs=2), run=RunSettings(cache=None)
    )
    good = images(24, 0)
    groups = [number // 2 for number in range(24)] + [None] * 3
    detector.fit([*good, *images(3, 1)], [0] * 24 + [1] * 3, groups=groups)
    assert len(out_of_fold_normals(detector.model_).scores) == 12
    assert detector.model_.manifest.parts == {str(number) for number in range(12)}
    with pytest.raises(DataError, match="There are 27 images but 3 groups"):
        detector.fit([*good, *images(3, 1)], [0] * 24 + [1] * 3, groups=[1, 2, 3])


def test_a_few_parts_photographed_often_are_not_calibrated():
    said = []
    callback = Callback()
    callback.on_note = said.append
    run = RunSettings(cache=None, callback=callback)
    detector = AHL(backbone=TinyBackbone(), config=tiny_config(epochs=2), run=run)
    shots = [*images(27, 0), *images(3, 1)]
    detector.fit(shots, [0] * 27 + [1] * 3, groups=[*np.arange(27) // 3, 9, 9, 9])
    assert detector.model_.calibration is None
    assert any("fewer than 10 parts: the scores are not calibrated" in note for note in said)


def test_copies_in_training_are_said_and_kept_in_one_fold():
    said = []
    callback = Callback()
    callback.on_note = said.append
    detector = AHL(
        backbone=TinyBackbone(),
        config=tiny_config(epochs=2),
        run=RunSettings(cache=None, callback=callback),
    )
    fit(detector, photographs_of_parts(11, 0), images(3, 1))
    assert detector.model_.manifest.copies >= 22
    assert len(out_of_fold_normals(detector.model_).scores) == 11
    assert any("copies found" in note for note in said)
    assert any("33 of 36 images share their part with others" in note for note in said)


def threshold_images(model):
    return [one.sha256 for one in model.exemplars.images if one.role == "threshold"]


def test_a_new_threshold_keeps_its_own_images_alone(detector):
    """Those of an old one would set it anew after an update, and count as its images in a test."""
    before = detector.model_
    first = set_threshold(before, label_images(images(6, 5), GOOD), 0.2, CPU).model
    assert threshold_images(first) == [content_hash(image) for image in images(6, 5)]
    second = set_threshold(first, label_images(images(7, 6), GOOD), 0.2, CPU).model
    assert threshold_images(second) == [content_hash(image) for image in images(7, 6)]
    assert threshold_images(set_threshold(second, None, 0.2, CPU).model) == []
    others = [one.sha256 for one in second.exemplars.images if one.role != "threshold"]
    assert others == [one.sha256 for one in before.exemplars.images]


def test_misses_are_told_with_the_threshold(detector):
    """Of the labelled anomalies, out of fold: how many the threshold does not find."""
    known = out_of_fold_anomalies(detector.model_)
    for given in (None, label_images(images(6, 5), GOOD)):
        decision = set_threshold(detector.model_, given, 0.2, CPU).decision
        assert (decision.anomalies, decision.held_out) == (3, given is None)
        assert decision.missed == (known <= decision.threshold).sum()
