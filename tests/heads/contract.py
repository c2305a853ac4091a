"""What the contract of base detectors is checked with.

To check a detector of your own, add its class to `DETECTOR_CLASSES`.
"""

import torch

from ahl._common.types import Kind
from ahl.benchmark.baselines import FocalClassifier, MarginEmbedding, OutlierExposure
from ahl.config import HeadConfig
from ahl.features.maps import FeatureLayout
from ahl.heads import DETECTORS, BaseDetector
from ahl.heads.losses import Prior

DETECTOR_CLASSES: tuple[type[BaseDetector], ...] = (
    *DETECTORS,
    FocalClassifier,
    MarginEmbedding,
    OutlierExposure,
)

LAYOUTS = {
    "two scales": FeatureLayout(((6, 5, 4), (6, 3, 2))),
    "one scale": FeatureLayout(((4, 3, 3),)),
}
CONFIGS = {
    "small": HeadConfig(holistic_hidden=8, residual_bottleneck=3, residual_channels=5),
    "paper": HeadConfig(holistic_hidden=8, residual_bottleneck=0, residual_channels=0),
}
PRIOR = Prior(mean=0.03, deviation=0.97)
MODELS = 3
ALL_KINDS = torch.tensor([Kind.NORMAL, Kind.ANOMALY, Kind.PSEUDO] * 3)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def draw_maps(layout, *leading, seed=0):
    generator = seeded(seed)
    return tuple(torch.randn(*leading, *scale, generator=generator) for scale in layout.scales)


def draw_parameters(detector, seed=0):
    """Parameters away from special starting values such as ones and zeros."""
    parameters = detector.initial_parameters(seeded(seed))
    generator = seeded(seed + 100)
    return {
        name: value + 0.1 * torch.randn(value.shape, generator=generator)
        for name, value in parameters.items()
    }


def trained_by(detector, kinds):
    """Whether a batch of these kinds alone has anything to learn from; most detectors: any."""
    if isinstance(detector, MarginEmbedding):  # ranks labelled anomalies against normals
        return {Kind.NORMAL, Kind.ANOMALY} <= set(kinds)
    return not isinstance(detector, FocalClassifier) or set(kinds) != {Kind.PSEUDO}


def draw_statistics(detector, seed=0):
    generator = seeded(seed + 200)
    return {
        name: value + 0.5 * torch.rand(value.shape, generator=generator)
        for name, value in detector.initial_statistics().items()
    }


def stack(dictionaries):
    return {name: torch.stack([d[name] for d in dictionaries]) for name in dictionaries[0]}


def copy_of(tensors):
    if isinstance(tensors, dict):
        return {name: value.clone() for name, value in tensors.items()}
    return tuple(value.clone() for value in tensors)


def assert_same(one, other):
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        one, other = one.values(), other.values()
    for left, right in zip(one, other, strict=True):
        assert torch.equal(left, right)


def assert_close(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-5, atol=1e-5, msg=name)
