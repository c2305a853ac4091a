"""Images to predictions."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ahl import AHL, RunSettings
from ahl.scoring.heat_maps import mean_map, position_evidence
from ahl.scoring.torch_scorer import TorchScorer
from small_images import small_image
from tiny import TinyBackbone, fit, tiny_config


@pytest.fixture(scope="module")
def model():
    detector = AHL(
        backbone=TinyBackbone(), config=tiny_config(epochs=1), run=RunSettings(cache=None)
    )
    return fit(
        detector, [small_image("good", i) for i in range(12)], [small_image("dot", 0)]
    ).model_


def test_an_image_without_a_finite_score_has_an_error_instead(model):
    broken = replace(model, preparation=replace(model.preparation, factor=1e38))
    images = [small_image("good", 3), small_image("dot", 1)]
    found = list(
        TorchScorer(broken, torch.device("cpu")).predict(images, heat_maps=True, nearest=True)
    )
    assert [one.score for one in found] == [None, None]
    assert all("no finite score" in one.error for one in found)


def test_a_heat_map_is_hottest_nearer_to_the_defect_than_its_cells_allow(model):
    """By the enlarged image; cells are of 8 x 8 pixels."""
    scorer, random, distances = (
        TorchScorer(model, torch.device("cpu")),
        np.random.default_rng(0),
        [],
    )
    for number in range(10):
        image, place = small_image("good", 20 + number), random.integers(6, 40, 2)
        image[tuple(slice(side, side + 3) for side in place)] = 255 * (number % 2)
        heat = scorer.compute(image[None], heat_maps=True)["heat_map"][0]
        ((_, maps),) = scorer.prepared([image])
        cells = mean_map(position_evidence(model, maps), heat.shape)[0].numpy()
        for one in (heat, cells):
            peak = np.unravel_index(one.argmax(), one.shape)
            distances.append(np.linalg.norm(np.array(peak) - place - 1))
    finer, plain = np.median(np.array(distances).reshape(-1, 2), axis=0)
    assert finer < 0.7 * plain


def test_what_heads_see_gives_the_score_of_the_image(model):
    scorer, image = TorchScorer(model, torch.device("cpu")), small_image("dot", 1)
    ((index, maps),) = scorer.prepared([image])
    (prediction,) = scorer.predict([image])
    assert index == prediction.index == 0
    assert float(model.score_maps([maps]).score[0]) == prediction.score
    assert prediction.score == pytest.approx(sum(prediction.evidence.values()), abs=1e-4)
