"""Normal images that a threshold may be set on."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ahl import AHL, RunSettings
from ahl._common.errors import DataError
from ahl.scoring.thresholds import out_of_fold_normals, score_new_normals
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
