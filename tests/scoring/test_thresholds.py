"""Normal images that a threshold may be set on."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ahl import AHL, RunSettings
from ahl._common.errors import DataError
from ahl.data.images.reading import content_hash
from ahl.scoring.thresholds import (
    out_of_fold_anomalies,
    out_of_fold_normals,
    score_new_normals,
    set_threshold,
)
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
    found = score_new_normals(detector.model_, given, CPU)
    assert found.trained_on == 12
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


def threshold_images(model):
    return [one.sha256 for one in model.exemplars.images if one.role == "threshold"]


def test_a_new_threshold_keeps_its_own_images_alone(detector):
    """Those of an old one would set it anew after an update, and count as its images in a test."""
    before = detector.model_
    first = set_threshold(before, images(6, 5), 0.2, CPU).model
    assert threshold_images(first) == [content_hash(image) for image in images(6, 5)]
    second = set_threshold(first, images(7, 6), 0.2, CPU).model
    assert threshold_images(second) == [content_hash(image) for image in images(7, 6)]
    assert threshold_images(set_threshold(second, None, 0.2, CPU).model) == []
    others = [one.sha256 for one in second.exemplars.images if one.role != "threshold"]
    assert others == [one.sha256 for one in before.exemplars.images]


def test_misses_are_told_with_the_threshold(detector):
    """Of the labelled anomalies, out of fold: how many the threshold does not find."""
    known = out_of_fold_anomalies(detector.model_)
    for given in (None, images(6, 5)):
        decision = set_threshold(detector.model_, given, 0.2, CPU).decision
        assert (decision.anomalies, decision.held_out) == (3, given is None)
        assert decision.missed == (known <= decision.threshold).sum()
