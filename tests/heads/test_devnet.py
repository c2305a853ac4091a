"""DevNet's head and the top-k scoring it is made of, against plain loops."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ahl._common.types import Kind
from ahl.config import HeadConfig
from ahl.features.maps import FeatureLayout
from ahl.heads import DevNet
from ahl.heads.base import fan_in_uniform, top_mean
from ahl.heads.losses import Prior

LAYOUT = FeatureLayout(((3, 5, 4), (3, 3, 2)))
PRIOR = Prior(mean=0.1, deviation=1.2)


def loop_top_mean(values, fraction):
    count = max(1, int(fraction * len(values)))
    return sum(sorted(values, reverse=True)[:count]) / count


@given(
    values=st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=60),
    fraction=st.floats(0.01, 1.0),
)
def test_top_mean_is_the_mean_of_the_largest(values, fraction):
    ours = top_mean(torch.tensor([values, values[::-1]]), fraction)
    expected = loop_top_mean(values, fraction)
    np.testing.assert_allclose(ours.numpy(), [expected, expected], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("positions_", "expected"), [(1, 1), (9, 1), (10, 1), (19, 1), (20, 2), (49, 4), (196, 19)]
)
def test_a_tenth_of_the_positions_rounded_down_at_least_one(positions_, expected):
    # The largest values are 1 and the rest 0: the mean of more than `expected` would be below 1.
    values = torch.zeros(1, positions_)
    values[0, :expected] = 1.0
    assert top_mean(values, 0.1) == 1.0
    values[0, expected - 1] = 0.0
    assert top_mean(values, 0.1) == pytest.approx(1.0 - 1.0 / expected)


@pytest.mark.parametrize("side", [7, 14, 28, 10, 20, 30])
def test_rounding_never_loses_a_position_at_a_tenth(side):
    count = side * side
    values = torch.zeros(1, count)
    values[0, : count // 10] = 1.0
    assert top_mean(values, 0.1) == 1.0
    assert top_mean(values, 0.1) * (count // 10) == pytest.approx(count // 10)


def test_top_mean_sends_its_gradient_to_the_largest_alone():
    values = torch.tensor([[0.0, 3.0, 1.0, 2.0]], requires_grad=True)
    top_mean(values, 0.5).sum().backward()
    assert torch.equal(values.grad, torch.tensor([[0.0, 0.5, 0.0, 0.5]]))


def test_initial_weights_fill_the_range_of_their_fan_in():
    drawn = fan_in_uniform((4000,), 25, torch.Generator().manual_seed(0))
    assert drawn.abs().max() <= 0.2
    assert drawn.abs().max() > 0.199
    assert abs(float(drawn.mean())) < 0.01


def test_score_maps_start_from_small_weights():
    def first(scale):
        detector = DevNet(HeadConfig(initial_scale=scale), LAYOUT, PRIOR)
        return detector.initial_parameters(torch.Generator().manual_seed(0))

    small, whole = first(0.01), first(1.0)
    for name, value in whole.items():
        torch.testing.assert_close(small[name], 0.01 * value)


def loop_devnet(parameters, maps, fraction):
    weight, bias = parameters["deviation.weight"].numpy(), float(parameters["deviation.bias"])
    scores = []
    for n in range(len(maps[0])):
        by_scale = []
        for scale in maps:
            responses = [
                abs(sum(weight[c] * scale[n, c, y, x] for c in range(scale.shape[1])) + bias)
                for y in range(scale.shape[2])
                for x in range(scale.shape[3])
            ]
            by_scale.append(loop_top_mean(responses, fraction))
        scores.append(sum(by_scale) / len(by_scale))
    return np.array(scores)


@pytest.mark.parametrize("fraction", [0.1, 0.35, 1.0])
def test_scores_are_those_of_the_loops(fraction):
    detector = DevNet(HeadConfig(top_fraction=fraction), LAYOUT, PRIOR)
    parameters = detector.initial_parameters(torch.Generator().manual_seed(0))
    random = np.random.default_rng(1)
    maps = [random.normal(size=(6, *scale)).astype(np.float32) for scale in LAYOUT.scales]
    inputs = tuple(torch.from_numpy(scale) for scale in maps)
    for training in (True, False):
        heads, statistics = detector.forward(
            parameters, {}, inputs, tuple(m[0] for m in inputs), training=training
        )
        expected = loop_devnet(parameters, maps, fraction)
        np.testing.assert_allclose(heads["deviation"].numpy(), expected, rtol=1e-5, atol=1e-5)
        assert torch.equal(detector.combine(heads), heads["deviation"])
        assert statistics == {}


@pytest.mark.parametrize("weight", [0.0, 0.1, 1.0])
def test_loss_asks_pseudo_and_labelled_anomalies_for_the_margin(weight):
    detector = DevNet(HeadConfig(margin=4.0, pseudo_weight=weight), LAYOUT, PRIOR)
    scores = np.array([0.3, 2.5, 1.4, 7.0, 0.0, 3.0])
    kinds = [Kind.NORMAL, Kind.NORMAL, Kind.ANOMALY, Kind.ANOMALY, Kind.PSEUDO, Kind.PSEUDO]
    losses = []
    for score, kind in zip(scores, kinds, strict=True):
        deviation = (score - PRIOR.mean) / PRIOR.deviation
        losses.append(abs(deviation) if kind == Kind.NORMAL else max(0.0, 4.0 - deviation))
    ours = detector.loss({"deviation": torch.from_numpy(scores)}, torch.tensor(kinds))
    expected = np.average(losses, weights=[1, 1, 1, 1, weight, weight])
    assert float(ours) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("weight", "labelled"), [(0.0, {"deviation"}), (0.3, set())])
def test_the_head_is_taught_by_labels_alone_where_pseudo_anomalies_weigh_nothing(weight, labelled):
    detector = DevNet(HeadConfig(pseudo_weight=weight), LAYOUT, PRIOR)
    with torch.inference_mode():
        assert detector.labelled_heads == labelled


def test_expected_scores_are_where_the_loss_vanishes():
    detector = DevNet(HeadConfig(margin=4.0), LAYOUT, PRIOR)
    normal, anomaly = detector.expected_scores
    scores = torch.tensor([normal, anomaly, anomaly], dtype=torch.float64)
    kinds = torch.tensor([Kind.NORMAL, Kind.ANOMALY, Kind.PSEUDO])
    assert float(detector.loss({"deviation": scores}, kinds)) == pytest.approx(0.0, abs=1e-12)
    lower = scores - torch.tensor([0.0, 0.1, 0.1])
    assert detector.loss({"deviation": lower}, kinds) > 0.01
