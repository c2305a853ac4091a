"""Where in an image the evidence lies."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ahl import AHL
from ahl.benchmark.baselines import FocalClassifier
from ahl.config import MemoryConfig
from ahl.features.table import table_of_maps
from ahl.scoring.heat_maps import FIRST_RED, colour_bounds, mean_map, position_evidence
from ahl.scoring.prediction import Prediction, reasons
from ahl.scoring.torch_scorer import card_of
from tiny import tiny_config


def maps(count, seed, place=None):
    random = np.random.default_rng(seed)
    full = random.normal(0, 1, (count, 6, 8, 8))
    if place is not None:
        full[:, 0, place[0], place[1]] += 8
    return full, full.reshape(count, 6, 4, 2, 4, 2).mean(axis=(3, 5))


def heat_map(model, given, side):
    return mean_map(position_evidence(model, given), (side, side))[0].numpy()


@pytest.fixture(scope="module", params=["dra", "devnet"])
def model(request):
    config = tiny_config(epochs=12, rounds=4, inner_steps=1, outer_rate=0.01)
    detector = AHL(heads=request.param, config=config, seed=1)
    return detector.fit_features(
        maps(30, 0), maps(6, 1, (2, 5)), pseudo=[maps(30, 2, (4, 4))]
    ).model_


def seen(model, seed, place=None):
    """An image's maps as the heads see them."""
    return model.preparation.maps(table_of_maps(maps(1, seed, place)).rows(np.array([0])).float())


@pytest.mark.parametrize("place", [(1, 1), (6, 2), (3, 6)])
def test_the_hottest_place_is_where_the_defect_is(model, place):
    heat = heat_map(model, seen(model, 40, place), 64)
    assert heat.shape == (64, 64)
    assert heat.dtype == np.float32
    hottest = np.unravel_index(heat.argmax(), heat.shape)
    for found, expected in zip(hottest, place, strict=True):
        assert abs(found - (8 * expected + 3.5)) <= 8
    low, high = colour_bounds(model)
    assert low == FIRST_RED
    assert heat.max() > low
    assert heat_map(model, seen(model, 41), 64).max() < heat.max()
    assert high >= low + 3


def test_a_place_counts_as_an_image_with_that_evidence_would(model):
    """Against the calibration's own numbers, without its neighbours."""
    known = replace(model.calibration, knn=None)
    plain, given = replace(model, calibration=known), seen(model, 42, (1, 1))
    found = plain.detector.position_scores(*plain.unified, given, plain.reference)
    for number, heats in enumerate(position_evidence(plain, given)):
        heat = heats[0]
        places = {name: values[0] for name, values in found[number].items()}
        if plain.preparation.memory is not None:
            places["memory"] = given[number][0, -1] / plain.preparation.memory.weight
        expected = torch.zeros(heat.shape)
        for i, name in enumerate(known.names):
            if name in places:
                z = (places[name] - known.means[i]) / known.deviations[i]
                expected += known.weights[i] * (z - known.shifts[i]) / known.stretches[i]
        torch.testing.assert_close(heat, expected, rtol=1e-4, atol=1e-4)


def test_heat_is_measured_against_the_normals_most_like_the_image(model):
    """As the score is: where these have more evidence than others, the same place is less hot."""
    known, given = model.calibration, seen(model, 42, (1, 1))
    alike = replace(known.knn, shares=torch.ones_like(known.knn.shares))
    means = []
    for raised in (0.0, 3.0):
        knn = replace(alike, evidence=alike.evidence + raised)
        close = replace(model, calibration=replace(known, knn=knn))
        means.append([float(one.mean()) for one in position_evidence(close, given)])
    for usual, lowered in zip(*means, strict=True):
        assert lowered < usual - 0.5


def test_a_place_as_hot_as_half_of_the_known_anomalies_is_fully_coloured(model):
    """The median of the out-of-fold anomalies: one far anomaly must not pale all others."""
    scores = torch.tensor([2.0, 9.0, 5.0, 700.0, 6.0])
    known = replace(
        model.calibration, anomalies=scores[:, None].expand(-1, len(model.calibration.names))
    )
    assert colour_bounds(replace(model, calibration=known)) == pytest.approx((FIRST_RED, 6.0))
    none = replace(known, anomalies=known.anomalies[:0])
    assert colour_bounds(replace(model, calibration=none)) == (FIRST_RED, FIRST_RED + 3)


def test_heat_is_the_mean_over_the_scales_at_the_images_size():
    """A place that one scale alone finds hot is half as hot as one that both find."""
    fine, coarse = torch.zeros(1, 4, 4), torch.zeros(1, 2, 2)
    fine[0, :2, :2], fine[0, 2:, 2:], coarse[0, 0, 0] = 6.0, 6.0, 4.0
    heat = mean_map([fine, coarse], (8, 8))
    assert heat.shape == (1, 8, 8)
    assert float(heat[0, 0, 0]) == pytest.approx((6.0 + 4.0) / 2)
    assert float(heat[0, 7, 7]) == pytest.approx(6.0 / 2)
    assert float(heat[0, 7, 0]) == 0.0


@pytest.mark.parametrize("place", [(2, 4), (3, 4), (3, 5)])
def test_an_enlarged_image_says_where_within_a_cell_it_is_hottest(place):
    fine, coarse, enlarged = (torch.zeros(1, side, side) for side in (4, 2, 8))
    fine[0, 1, 2] = 2.0
    enlarged[0, place[0], place[1]] = 6.0
    plain = mean_map([fine, coarse], (32, 32))
    heat = mean_map([fine, coarse], (32, 32), enlarged)
    row, column = divmod(int(heat[0].argmax()), 32)
    assert (row // 4, column // 4) == place
    assert float(heat.max()) > float(plain.max())
    assert float(heat.mean()) == pytest.approx(float(plain.mean()), abs=1e-5)
    everywhere = mean_map([fine, coarse], (32, 32), enlarged + 5.0)
    torch.testing.assert_close(everywhere, heat, rtol=0, atol=1e-5)


def test_an_enlarged_image_is_looked_at_as_the_first_scale_is(model):
    given = seen(model, 44, (1, 1))
    plain = position_evidence(model, given)
    torch.testing.assert_close(position_evidence(model, given, given[0]), [*plain, plain[0]])
    larger = torch.nn.functional.interpolate(given[0], scale_factor=2)
    found = position_evidence(model, given, larger)[-1]
    assert found.shape == (1, 16, 16)
    row, column = divmod(int(found[0].argmax()), 16)
    assert (row // 2, column // 2) == (1, 1)


def test_without_calibration_the_heads_positions_are_added(model):
    plain, given = replace(model, calibration=None), seen(model, 43, (1, 1))
    found = plain.detector.position_scores(*plain.unified, given, plain.reference)
    for heat, scale in zip(position_evidence(plain, given), found, strict=True):
        torch.testing.assert_close(heat, sum(scale.values()))
    assert colour_bounds(plain) is None


def test_heads_that_see_no_places_leave_the_memory_or_nothing():
    config = replace(tiny_config(epochs=1), memory=MemoryConfig(patches=20))
    detector = AHL(heads=FocalClassifier, config=config)
    blind = detector.fit_features(maps(20, 0), maps(3, 1, (2, 5))).model_
    heat = heat_map(blind, seen(blind, 44, (1, 1)), 64)
    assert max(np.unravel_index(heat.argmax(), heat.shape)) < 24, "the memory's distance alone"
    assert not heat_map(replace(blind, calibration=None), seen(blind, 44, (1, 1)), 64).any()


def test_reasons_are_what_raises_the_score_most_important_first(model):
    names = model.evidence_names
    evidence = dict.fromkeys(names, -1.0) | {names[0]: 4.0, names[-1]: 2.0}
    told = reasons(Prediction(index=0, score=0.0, evidence=evidence), card_of(model))
    assert [value for _, value in told] == ([4.0, 2.0] if len(names) > 1 else [2.0])
    assert told[0][0] == model.detector.meanings[names[0]]
    assert (
        reasons(
            Prediction(index=0, score=-3.0, evidence=dict.fromkeys(names, -1.0)), card_of(model)
        )
        == []
    )
    assert reasons(Prediction(index=0, score=1.0), card_of(model)) == []
    small = dict.fromkeys(names, -1.0) | {names[-1]: 0.049}
    assert reasons(Prediction(index=0, score=-3.0, evidence=small), card_of(model)) == [], (
        "reads as +0.0"
    )
