"""What the image-level baselines share, by plain loops, and small draws for their tests."""

import numpy as np
import torch

from ahl._common.types import Kind
from ahl.config import HeadConfig
from ahl.features.maps import FeatureLayout
from ahl.heads.losses import Prior

LAYOUT = FeatureLayout(((4, 3, 2), (4, 2, 1)))
KINDS = torch.tensor([Kind.NORMAL, Kind.ANOMALY, Kind.PSEUDO, Kind.NORMAL, Kind.PSEUDO])
"""Of the five images that `draw_maps(5)` draws."""


def make(detector):
    return detector(HeadConfig(holistic_hidden=5), LAYOUT, Prior(mean=0.0, deviation=1.0))


def draw_maps(*leading, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(*leading, *scale, generator=generator) for scale in LAYOUT.scales)


def draw_parameters(detector, seed=0):
    return detector.initial_parameters(torch.Generator().manual_seed(seed))


def sigmoid(logit):
    return 1 / (1 + np.exp(-logit))


def loop_hidden(parameters, maps):
    """(scales, N, width): a ReLU layer on the mean over all positions."""
    weight, bias = (parameters[f"hidden.{name}"].double().numpy() for name in ("weight", "bias"))
    hidden = np.zeros((len(maps), len(maps[0]), len(bias)))
    for s, scale in enumerate(maps):
        for n, image in enumerate(scale.double().numpy()):
            for h in range(len(bias)):
                total = bias[h]
                for c, channel in enumerate(image):
                    mean = sum(value for row in channel for value in row) / channel.size
                    total += mean * weight[c, h]
                hidden[s, n, h] = max(total, 0.0)
    return hidden


def loop_logits(parameters, maps):
    """(N,): one output, the mean over the scales."""
    weight = parameters["output.weight"].double().numpy()
    bias = float(parameters["output.bias"])
    hidden = loop_hidden(parameters, maps)
    return np.array(
        [
            np.mean([sum(h * w for h, w in zip(one[n], weight, strict=True)) for one in hidden])
            + bias
            for n in range(len(maps[0]))
        ]
    )


def loss_of(detector, maps, kinds=KINDS, seed=0):
    scores, _ = detector.forward(
        draw_parameters(detector, seed), {}, maps, draw_maps(seed=99), training=True
    )
    return float(detector.loss(scores, kinds))


def loss_moved_by(detector, kind):
    """How much the loss moves when the images of one kind are changed."""
    maps = draw_maps(len(KINDS), seed=1)
    changed = tuple(
        torch.where((kind == KINDS)[:, None, None, None], 3.0 * scale + 1.0, scale)
        for scale in maps
    )
    return abs(loss_of(detector, changed) - loss_of(detector, maps))
