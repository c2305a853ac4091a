"""The weights that heads start from, and the scores of samples by several models."""

import numpy as np
import torch

from ahl.config import HeadConfig
from ahl.heads import DRA, weights
from ahl.heads.weights import HeadWeights, score_samples, stack
from synthetic_features import LAYOUT, PRIOR, make_training_set, mean_reference

DETECTOR = DRA(HeadConfig(holistic_hidden=8), LAYOUT, PRIOR)


def model(seed):
    generator = torch.Generator().manual_seed(seed)
    statistics = {
        name: value + torch.rand(value.shape, generator=generator)
        for name, value in DETECTOR.initial_statistics().items()
    }
    return HeadWeights(DETECTOR.initial_parameters(generator), statistics)


def test_scores_are_in_the_order_of_the_samples_by_each_model(monkeypatch):
    """However the samples are ordered, and whichever are computed together."""
    monkeypatch.setattr(weights, "SCORING_CHUNK", 4)
    data, _, _ = make_training_set()
    reference = mean_reference(data)
    models = [model(seed) for seed in range(3)]
    samples = np.array([17, 3, 29, 3, 0, 11, 24, 8, 1])
    stacked = HeadWeights(*(stack([one[part] for one in models]) for part in (0, 1)))
    found = score_samples(
        DETECTOR, stacked, data.features, samples, reference, lambda heads, _: dict(heads)
    )
    assert tuple(found) == DETECTOR.head_names
    for place, sample in enumerate(samples):
        maps = data.features.maps(torch.tensor([sample]))
        for number, one in enumerate(models):
            expected, _ = DETECTOR.forward(*one, maps, reference, training=False)
            for name, value in expected.items():
                torch.testing.assert_close(found[name][place, number], value[0])


def test_only_the_maps_of_positions_start_from_small_weights():
    """What a few anomalies leave undecided stays as it starts, and is noise in every score."""
    small, large = (
        DRA(HeadConfig(initial_scale=scale), LAYOUT, PRIOR).initial_parameters(
            torch.Generator().manual_seed(0)
        )
        for scale in (0.01, 1.0)
    )
    scaled = {f"{head}.{part}" for head in ("seen", "pseudo") for part in ("weight", "bias")}
    for name, value in small.items():
        torch.testing.assert_close(value, (0.01 if name in scaled else 1.0) * large[name])
