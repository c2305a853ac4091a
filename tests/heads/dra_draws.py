"""Configurations, maps and forward passes that DRA is tested with."""

from dataclasses import replace

import torch

from ahl.config import HeadConfig, paper
from ahl.features.maps import FeatureLayout
from ahl.heads.losses import Prior
from heads.contract import seeded

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
