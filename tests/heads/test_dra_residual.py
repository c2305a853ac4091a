"""DRA's residual head against torch's own layers."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from ahl.config import HeadConfig
from ahl.heads import DRA
from ahl.heads.dra import convolve
from heads.contract import draw_parameters, seeded
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
