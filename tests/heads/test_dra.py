"""DRA's heads against NumPy loops and torch's own layers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from ahl._common.types import Kind
from ahl.config import HeadConfig, paper
from ahl.features.maps import FeatureLayout
from ahl.heads import DRA
from ahl.heads.dra import convolve
from ahl.heads.losses import Prior
from heads.contract import draw_parameters, seeded

LAYOUT = FeatureLayout(((6, 5, 4), (6, 3, 2)))
PRIOR = Prior(mean=0.05, deviation=1.1)
CONFIGS = {
    "bottleneck": HeadConfig(holistic_hidden=7, residual_bottleneck=3, residual_channels=5),
    "as published": replace(paper().heads, holistic_hidden=7),
    "bottleneck, all channels out": HeadConfig(
        holistic_hidden=7, residual_bottleneck=2, residual_channels=0, norm_momentum=0.3
    ),
    "no pseudo beside labelled": HeadConfig(
        holistic_hidden=7, residual_bottleneck=3, residual_channels=5, pseudo_weight=0.0
    ),
}


@pytest.fixture(params=CONFIGS)
def detector(request):
    return DRA(CONFIGS[request.param], LAYOUT, PRIOR)


def draw_maps(count, seed=0):
    generator = seeded(seed)
    return tuple(torch.randn(count, *scale, generator=generator) + 0.5 for scale in LAYOUT.scales)


def draw_reference(seed=9):
    return tuple(scale[0] for scale in draw_maps(1, seed))


def loop_top_mean(values, fraction=0.1):
    count = max(1, int(fraction * len(values)))
    return sum(sorted(values, reverse=True)[:count]) / count


def forward(detector, parameters, maps, reference, *, training=True, statistics=None):
    return detector.forward(
        parameters,
        detector.initial_statistics() if statistics is None else statistics,
        maps,
        reference,
        training=training,
    )


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


# --- residual --------------------------------------------------------------------------------


@pytest.mark.parametrize(("taken", "width"), [(1, 1), (3, 5), (6, 2)])
@pytest.mark.parametrize("size", [(5, 4), (1, 3), (2, 1)])
def test_convolution_is_torchs(taken, width, size):
    maps = torch.randn(2, taken, *size, generator=seeded(0))
    kernel = torch.randn(width, taken, 3, 3, generator=seeded(1))
    # Tap 3 * dy + dx of ours is position (dy, dx) of torch's kernel.
    ours = torch.stack([kernel[:, :, dy, dx].T for dy in range(3) for dx in range(3)])
    torch.testing.assert_close(
        convolve(maps.permute(0, 2, 3, 1), ours).permute(0, 3, 1, 2),
        functional.conv2d(maps, kernel, padding=1),
        rtol=1e-5,
        atol=1e-5,
    )


class TorchResidualHead:
    """The residual head made of torch's own layers, one batch norm a scale."""

    def __init__(self, detector, parameters):
        self.fraction = detector.config.top_fraction
        reduce = parameters.get("residual.reduce.weight")
        self.reduce = None
        if reduce is not None:
            self.reduce = nn.Conv2d(*reduce.shape, 1, bias=False)
            self.reduce.weight.data = reduce.T[:, :, None, None].clone()
        taps = parameters["residual.conv.weight"]
        _, taken, width = taps.shape
        self.conv = nn.Conv2d(taken, width, 3, padding=1, bias=False)
        self.conv.weight.data = taps.reshape(3, 3, taken, width).permute(3, 2, 0, 1).clone()
        self.norms = [nn.BatchNorm2d(width, momentum=detector.config.norm_momentum) for _ in (0, 1)]
        for norm in self.norms:
            norm.weight.data = parameters["residual.norm.weight"].clone()
            norm.bias.data = parameters["residual.norm.bias"].clone()
        self.score = nn.Conv2d(width, 1, 1)
        self.score.weight.data = parameters["residual.weight"][None, :, None, None].clone()
        self.score.bias.data = parameters["residual.bias"].reshape(1).clone()

    def __call__(self, maps, reference, *, training):
        by_scale = []
        for norm, scale, mean in zip(self.norms, maps, reference, strict=True):
            norm.train(training)
            difference = mean - scale
            if self.reduce is not None:
                difference = self.reduce(difference)
            responses = self.score(torch.relu(norm(self.conv(difference)))).abs().flatten(1)
            by_scale.append([loop_top_mean(row, self.fraction) for row in responses.tolist()])
        return np.mean(by_scale, axis=0)


def assert_statistics(statistics, head):
    for i, norm in enumerate(head.norms):
        for name, expected in (("mean", norm.running_mean), ("var", norm.running_var)):
            torch.testing.assert_close(
                statistics[f"residual.norm.{name}"][i], expected, rtol=1e-5, atol=1e-5
            )


def test_residual_head_is_torchs_layers_in_training_and_evaluation(detector):
    parameters, reference = draw_parameters(detector), draw_reference()
    head, statistics = TorchResidualHead(detector, parameters), detector.initial_statistics()
    for step in range(6):  # statistics move at every training batch ...
        maps = draw_maps(7, seed=20 + step)
        expected = head(maps, reference, training=True)
        scores, statistics = forward(detector, parameters, maps, reference, statistics=statistics)
        np.testing.assert_allclose(scores["residual"].numpy(), expected, rtol=1e-5, atol=1e-5)
        assert_statistics(statistics, head)
        # ... and evaluation uses them as they are.
        maps = draw_maps(3, seed=40 + step)
        expected = head(maps, reference, training=False)
        scores, after = forward(
            detector, parameters, maps, reference, training=False, statistics=statistics
        )
        np.testing.assert_allclose(scores["residual"].numpy(), expected, rtol=1e-5, atol=1e-5)
        for name, value in after.items():
            assert torch.equal(value, statistics[name])


def test_residual_gradients_are_those_of_torchs_layers(detector):
    parameters, maps, reference = draw_parameters(detector), draw_maps(6), draw_reference()
    leaves = {name: value.clone().requires_grad_() for name, value in parameters.items()}
    scores, _ = forward(detector, leaves, maps, reference)
    scores["residual"].sum().backward()

    head = TorchResidualHead(detector, parameters)
    total = 0.0
    for norm, scale, mean in zip(head.norms, maps, reference, strict=True):
        difference = mean - scale
        if head.reduce is not None:
            difference = head.reduce(difference)
        responses = head.score(torch.relu(norm(head.conv(difference)))).abs().flatten(1)
        count = max(1, int(0.1 * responses.shape[1]))
        total = total + responses.sort(dim=1).values[:, -count:].mean(dim=1).sum() / 2
    total.backward()

    kernel = head.conv.weight.grad.permute(2, 3, 1, 0).flatten(0, 1)
    expected = {
        "residual.conv.weight": kernel,
        "residual.norm.weight": sum(norm.weight.grad for norm in head.norms),
        "residual.norm.bias": sum(norm.bias.grad for norm in head.norms),
        "residual.weight": head.score.weight.grad.flatten(),
        "residual.bias": head.score.bias.grad.reshape(()),
    }
    if head.reduce is not None:
        expected["residual.reduce.weight"] = head.reduce.weight.grad[:, :, 0, 0].T
    for name, value in expected.items():
        torch.testing.assert_close(leaves[name].grad, value, rtol=1e-4, atol=1e-5, msg=name)
    for name, leaf in leaves.items():
        if not name.startswith("residual"):
            assert leaf.grad is None or not leaf.grad.any(), name


def test_statistics_carry_no_gradient(detector):
    leaves = {n: v.clone().requires_grad_() for n, v in draw_parameters(detector).items()}
    _, statistics = forward(detector, leaves, draw_maps(4), draw_reference())
    assert not any(value.requires_grad for value in statistics.values())


def test_an_image_equal_to_the_reference_has_no_residual(detector):
    """The residual is the difference to the reference: with it gone, only the norm answers."""
    parameters, reference = draw_parameters(detector), draw_reference()
    same = tuple(scale[None] for scale in reference)
    scores, _ = forward(detector, parameters, same, reference, training=False)
    activated = torch.relu(parameters["residual.norm.bias"])
    expected = (activated @ parameters["residual.weight"] + parameters["residual.bias"]).abs()
    assert float(scores["residual"][0]) == pytest.approx(float(expected), rel=1e-4, abs=1e-5)


def test_sizes_follow_the_config():
    parameters = DRA(CONFIGS["bottleneck"], LAYOUT, PRIOR).initial_parameters(seeded(0))
    assert parameters["residual.reduce.weight"].shape == (6, 3)
    assert parameters["residual.conv.weight"].shape == (9, 3, 5)
    published = DRA(HeadConfig(residual_bottleneck=0, residual_channels=0), LAYOUT, PRIOR)
    parameters = published.initial_parameters(seeded(0))
    assert "residual.reduce.weight" not in parameters
    assert parameters["residual.conv.weight"].shape == (9, 6, 6)
    assert parameters["holistic.hidden.weight"].shape == (6, 256)


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
