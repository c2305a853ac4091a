"""DRA's heads against NumPy loops and torch's own layers."""

import numpy as np
import pytest
import torch

from ahl._common.types import Kind
from ahl.heads import DRA
from heads.contract import draw_parameters
from heads.dra_draws import (
    CONFIGS,
    LAYOUT,
    PRIOR,
    draw_maps,
    draw_reference,
    forward,
    loop_top_mean,
)


@pytest.fixture(params=CONFIGS)
def detector(request):
    return DRA(CONFIGS[request.param], LAYOUT, PRIOR)


# --- holistic --------------------------------------------------------------------------------


def loop_holistic(parameters, maps):
    p = {name: value.numpy().astype(np.float64) for name, value in parameters.items()}
    scores = []
    for n in range(len(maps[0])):
        by_scale = []
        for scale in maps:
            image = scale[n].numpy()
            pooled = [np.mean(image[c].ravel()) for c in range(image.shape[0])]
            output = p["holistic.output.bias"]
            for h in range(len(p["holistic.hidden.bias"])):
                unit = p["holistic.hidden.bias"][h]
                for c, value in enumerate(pooled):
                    unit = unit + value * p["holistic.hidden.weight"][c, h]
                output = output + max(0.0, unit) * p["holistic.output.weight"][h]
            by_scale.append(output)
        scores.append(sum(by_scale) / len(by_scale))
    return np.array(scores)


def test_holistic_head_is_a_small_network_on_the_pooled_map(detector):
    parameters, maps = draw_parameters(detector), draw_maps(8)
    parameters["holistic.output.bias"] -= 1.0
    scores, _ = forward(detector, parameters, maps, draw_reference())
    expected = loop_holistic(parameters, maps)
    np.testing.assert_allclose(scores["holistic"].numpy(), expected, rtol=1e-5, atol=1e-5)
    assert (expected < 0).any(), "the holistic score keeps its sign"


# --- seen and pseudo -------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["seen", "pseudo"])
def test_position_heads_are_devnet_heads_on_the_maps(detector, head):
    parameters, maps = draw_parameters(detector), draw_maps(5)
    scores, _ = forward(detector, parameters, maps, draw_reference())
    weight, bias = parameters[f"{head}.weight"].numpy(), float(parameters[f"{head}.bias"])
    for n in range(5):
        by_scale = []
        for scale in maps:
            responses = [
                abs(sum(weight[c] * float(scale[n, c, y, x]) for c in range(6)) + bias)
                for y in range(scale.shape[2])
                for x in range(scale.shape[3])
            ]
            by_scale.append(loop_top_mean(responses))
        assert float(scores[head][n]) == pytest.approx(sum(by_scale) / 2, rel=1e-5, abs=1e-5)


# --- combination and loss --------------------------------------------------------------------


def test_image_score_is_seen_plus_pseudo_plus_residual_minus_holistic(detector):
    scores = {
        "holistic": torch.tensor([1.0, -2.0]),
        "seen": torch.tensor([10.0, 3.0]),
        "pseudo": torch.tensor([100.0, 5.0]),
        "residual": torch.tensor([1000.0, 7.0]),
    }
    assert detector.combine(scores).tolist() == [1109.0, 17.0]


def test_the_holistic_score_counts_beyond_the_margin(detector):
    margin = PRIOR.mean + 5.0 * PRIOR.deviation
    zero = torch.zeros(2, dtype=torch.float64)
    holistic = torch.tensor([margin + 40.0, margin - 1.0], dtype=torch.float64)
    scores = {"holistic": holistic, "seen": zero, "pseudo": zero, "residual": zero}
    expected = [-margin - 40.0, 1.0 - margin]
    assert detector.combine(scores).tolist() == pytest.approx(expected)


def weights_by_head(config):
    """The weight of each kind in each head's loss."""
    return {
        "holistic": {Kind.NORMAL: 1, Kind.ANOMALY: 1, Kind.PSEUDO: int(config.holistic_pseudo)},
        "seen": {Kind.NORMAL: 1, Kind.ANOMALY: 1, Kind.PSEUDO: 0},
        "pseudo": {Kind.NORMAL: 1, Kind.ANOMALY: 0, Kind.PSEUDO: 1},
        "residual": {Kind.NORMAL: 1, Kind.ANOMALY: 1, Kind.PSEUDO: config.pseudo_weight},
    }


def loop_loss(scores, kinds, heads, margin=5.0):
    total = 0.0
    for head, weight_of in heads.items():
        head_total = head_weight = 0.0
        for score, kind in zip(scores[head], kinds, strict=True):
            deviation = (float(score) - PRIOR.mean) / PRIOR.deviation
            anomalous = kind != Kind.NORMAL
            high = not anomalous if head == "holistic" else anomalous
            loss = max(0.0, margin - deviation) if high else abs(deviation)
            head_total += weight_of[kind] * loss
            head_weight += weight_of[kind]
        total += head_total / head_weight if head_weight else 0.0
    return total


@pytest.mark.parametrize(
    "kinds",
    [[0, 0, 1, 1, 2, 2], [0, 1, 1, 2, 2, 2], [0, 0, 0, 1], [0, 2, 2], [0, 0], [1, 1], [2], [1, 2]],
    ids=str,
)
def test_loss_is_the_sum_of_the_heads_means(detector, kinds):
    random = np.random.default_rng(len(kinds))
    scores = {head: random.normal(2, 3, size=len(kinds)) for head in DRA.head_names}
    ours = detector.loss({h: torch.from_numpy(s) for h, s in scores.items()}, torch.tensor(kinds))
    heads = weights_by_head(detector.config)
    assert float(ours) == pytest.approx(loop_loss(scores, kinds, heads), rel=1e-6)


@pytest.mark.parametrize("head", DRA.head_names)
def test_each_head_is_trained_by_its_kinds_and_in_its_direction(detector, head):
    kinds = torch.tensor([Kind.NORMAL, Kind.ANOMALY, Kind.PSEUDO])
    scores = {name: torch.full((3,), 1.0, requires_grad=True) for name in DRA.head_names}
    detector.loss(scores, kinds).backward()
    for kind, gradient in zip(Kind, scores[head].grad.tolist(), strict=True):
        if not weights_by_head(detector.config)[head][kind]:
            assert gradient == 0.0
        elif (kind == Kind.NORMAL) == (head == "holistic"):
            assert gradient < 0.0, "the score must be pushed up"
        else:
            assert gradient > 0.0, "the score must be pushed down"


def test_labelled_heads_are_those_that_no_pseudo_anomaly_trains(detector):
    weights = weights_by_head(detector.config)
    untaught = {head for head, of_kind in weights.items() if not of_kind[Kind.PSEUDO]}
    assert detector.labelled_heads == untaught


def test_expected_scores_are_what_the_loss_asks_for(detector):
    margin = PRIOR.mean + 5.0 * PRIOR.deviation
    # Heads that a kind does not train are taken to answer as for a normal.
    asked = {
        Kind.NORMAL: {"holistic": margin, "seen": PRIOR.mean, "pseudo": PRIOR.mean},
        Kind.ANOMALY: {"holistic": PRIOR.mean, "seen": margin, "pseudo": PRIOR.mean},
        Kind.PSEUDO: {"holistic": PRIOR.mean, "seen": PRIOR.mean, "pseudo": margin},
    }
    normal, anomaly = detector.expected_scores
    for kind, values in asked.items():
        values["residual"] = PRIOR.mean if kind == Kind.NORMAL else margin
        scores = {h: torch.tensor([v], dtype=torch.float64) for h, v in values.items()}
        assert float(detector.loss(scores, torch.tensor([kind]))) == pytest.approx(0, abs=1e-12)
        expected = normal if kind == Kind.NORMAL else anomaly
        assert float(detector.combine(scores)) == pytest.approx(expected)
