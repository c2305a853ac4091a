"""The estimator on feature maps of one's own."""

import numpy as np
import pytest
import torch

from ahl import AHL
from ahl._common.errors import DataError
from ahl.features.table import table_of_maps
from ahl.scoring.metrics import auroc
from small_images import small_image
from tiny import ENOUGH, tiny_config


def maps(count, seed, shift=0.0, channels=6):
    random = np.random.default_rng(seed)
    full = random.normal(0, 1, (count, channels, 4, 4))
    full[:, 0, 1, 1] += shift
    return full, full[:, :, ::2, ::2]


def test_feature_maps_can_be_given_directly(tmp_path):
    detector = AHL(config=tiny_config(**ENOUGH), seed=2)
    detector.fit_features(maps(40, 0), maps(5, 1, 6.0), pseudo=[maps(40, 2, 5.0), maps(40, 3, 7.0)])
    scores = detector.decision_function_features(
        [np.concatenate(p) for p in zip(maps(30, 4), maps(30, 5, 6.0), strict=True)]
    )
    assert auroc([0] * 30 + [1] * 30, scores) > 0.85
    detector.save(tmp_path / "model.ahl")
    loaded = AHL.load(tmp_path / "model.ahl")
    assert np.array_equal(
        loaded.decision_function_features(maps(5, 6)),
        detector.decision_function_features(maps(5, 6)),
    )
    with pytest.raises(DataError, match="decision_function_features"):
        loaded.decision_function([small_image("dot", 0)])
    with pytest.raises(DataError, match="trained on"):
        loaded.decision_function_features(maps(5, 6, channels=7))


def test_feature_maps_work_without_pseudo_anomalies_and_at_one_scale():
    for base in ("dra", "devnet"):
        detector = AHL(heads=base, config=tiny_config(**ENOUGH))
        detector.fit_features(maps(30, 0)[0], torch.from_numpy(maps(5, 1, 6.0)[0]))
        scores = detector.decision_function_features(
            np.concatenate([maps(30, 4)[0], maps(30, 5, 6.0)[0]])
        )
        assert auroc([0] * 30 + [1] * 30, scores) > 0.8


def test_wrong_feature_maps_are_refused():
    detector = AHL(config=tiny_config())
    good, bad = maps(10, 0), maps(3, 1)
    for normal, anomalous, reason in (
        (good[0][0], bad, "must be"),
        (good, maps(3, 1, channels=5), "same shape"),
        (maps(1, 0), bad, "At least 2"),
        ((good[0], good[1][:4]), bad, "same number"),
        ((good[0] * np.nan, good[1]), bad, "finite"),
    ):
        with pytest.raises(DataError, match=reason):
            detector.fit_features(normal, anomalous)
    with pytest.raises(DataError, match="exactly one feature map"):
        detector.fit_features(good, bad, pseudo=[maps(9, 2)])


def test_maps_of_equal_size_at_two_scales_are_two_scales():
    table = table_of_maps([np.zeros((3, 2, 4, 4)), np.ones((3, 2, 4, 4))])
    assert table.layout.scales == ((2, 4, 4), (2, 4, 4))


def test_feature_maps_beyond_float16_are_refused():
    maps = np.ones((4, 3, 5, 5), dtype=np.float32)
    with pytest.raises(DataError, match="float16"):
        AHL(config=tiny_config()).fit_features(1e5 * maps, maps)
