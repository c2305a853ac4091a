"""A backbone that takes no time, and a config that trains in a second."""

from dataclasses import replace

import torch
from torch.nn import functional

from ahl.config import Config, FeatureConfig, MemoryConfig, VectorConfig, default
from ahl.features.backbones import Backbone


class TinyBackbone(Backbone):
    """Random 5x5 filters on a 3x3 or larger grid; counts the images it has seen."""

    kind = "tiny"
    images_seen = 0

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.filters = torch.nn.Parameter(torch.randn(12, 3, 5, 5, generator=generator))

    def forward(self, images):
        if not torch.compiler.is_exporting():
            TinyBackbone.images_seen += len(images)
        responses = functional.conv2d(images, self.filters, stride=2, padding=2).abs()
        return functional.avg_pool2d(responses, 4)

    def settings(self):
        return {}

    @classmethod
    def rebuild(cls, settings, tensors):
        backbone = cls()
        backbone.load_state_dict(tensors)
        return backbone


SHORT = {
    "episodes": True,
    "epochs": 7,
    "rounds": 1,
    "inner_steps": 3,
    "batch_size": 12,
    "inner_rate": 2e-3,
    "outer_rate": 0.02,
}

ENOUGH = {
    "epochs": 10,
    "rounds": 5,
    "inner_steps": 2,
    "batch_size": 18,
    "outer_rate": 0.02,
    "averaged_epochs": 5,
}
"""What finds defects on small pictures and maps."""


def tiny_config(**learning) -> Config:
    config = default()
    return replace(
        config,
        features=FeatureConfig(image_size=(48, 48), batch_size=4),
        vectors=VectorConfig(components=8),
        # Rates are a hundred times the default's: lighter evidence keeps pace.
        memory=MemoryConfig(patches=50, weight=0.5),
        learning=replace(config.learning, **SHORT | learning),
        finetune=replace(config.finetune, epochs=2, steps=2, batch_size=6),
    )


def fit(detector, normal, anomalies, classes=None):
    """Train a detector on good images and defects, which are all of one class by default."""
    images = [*normal, *anomalies]
    bad = len(images) - len(normal)
    return detector.fit(images, ["good"] * len(normal) + list(classes or ["anomaly"] * bad))
