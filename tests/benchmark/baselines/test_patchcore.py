"""PatchCore: the image score against plain loops, and whose patches are remembered."""

import numpy as np
import pytest
import torch

from ahl.benchmark.baselines import patchcore, patchcore_scores
from ahl.benchmark.baselines.patchcore import NEIGHBOURS, build_coreset, image_scores
from ahl.evidence.coreset import patches_of
from ahl.features.maps import FeatureLayout
from ahl.features.table import FeatureTable

LAYOUT = FeatureLayout(((5, 4, 4), (5, 2, 2)))


def table(count, seed=0, shift=0.0):
    rows = np.random.default_rng(seed).normal(shift, 1.0, (count, LAYOUT.row_size))
    return FeatureTable.of_rows(LAYOUT, rows.astype(np.float16))


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def loop_score(patches, memory):
    """Equation 7: the patch farthest from its nearest neighbour m*, and the neighbours of m*."""
    distances = [[np.linalg.norm(patch - one) for one in memory] for patch in patches]
    farthest = max(range(len(patches)), key=lambda p: min(distances[p]))
    score, nearest = min(distances[farthest]), int(np.argmin(distances[farthest]))
    if len(memory) == 1:
        return score
    around = np.argsort([np.linalg.norm(memory[nearest] - one) for one in memory])[:NEIGHBOURS]
    total = sum(np.exp(distances[farthest][m]) for m in around)
    return (1 - np.exp(score) / total) * score


@pytest.mark.parametrize("remembered", [1, 2, 8, 9, 10, 40])
@pytest.mark.parametrize("spread", [0.1, 1.0, 4.0])
def test_image_scores_are_those_of_plain_loops(remembered, spread):
    patches, memory = spread * draw(6, 7, 5), draw(remembered, 5, seed=1)
    expected = [loop_score(image.double().numpy(), memory.double().numpy()) for image in patches]
    ours = image_scores(patches, memory).numpy()
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_distances_whose_exponential_overflows_still_score():
    memory = draw(20, 5, seed=1)
    near, far = image_scores(torch.stack([draw(7, 5), draw(7, 5) + 2000.0]), memory)
    assert far.isfinite()
    assert far > 100 * near


def test_one_anomalous_patch_is_enough():
    rows = table(8, seed=1).rows(np.arange(8))
    maps = [scale.clone() for scale in LAYOUT.split(rows)]
    maps[0][5:, :, 1, 2] += 15.0
    tested = FeatureTable.of_rows(LAYOUT, LAYOUT.join(maps).half().numpy())
    scores = patchcore_scores(table(30), tested, seed=0)
    assert scores.shape == (8,)
    assert scores.dtype == np.float64
    assert scores[5:].min() > 1.5 * scores[:5].max()


def test_the_farther_away_the_higher_the_score():
    scores = [
        patchcore_scores(table(20), table(3, seed=1, shift=shift), seed=0).min()
        for shift in (0.0, 3.0, 6.0, 12.0)
    ]
    assert scores == sorted(scores)
    assert scores[-1] > 5 * scores[0]


@pytest.mark.parametrize("size", [10, 10_000])
def test_the_coreset_is_of_patches_of_the_normals_alone(monkeypatch, size):
    monkeypatch.setattr(patchcore, "CORESET", size)
    normals, tested = table(20), table(20, seed=1)
    coreset = build_coreset(normals, seed=0)

    def all_patches(images):
        return patches_of(LAYOUT.split(images.rows(np.arange(len(images))))[0]).flatten(0, 1)

    here = (coreset[:, None] == all_patches(normals)).all(dim=-1)
    assert (here.sum(dim=1) == 1).all()
    assert (here.sum(dim=0) <= 1).all(), "each patch is chosen once at most"
    assert len(coreset) == min(size, 20 * 16)
    assert not (coreset[:, None] == all_patches(tested)).all(dim=-1).any()


def test_candidates_bound_what_is_chosen_from(monkeypatch):
    monkeypatch.setattr(patchcore, "CANDIDATES", 12)
    assert len(build_coreset(table(20), seed=0)) == 12


def test_a_score_does_not_depend_on_the_other_test_images():
    normals, tested = table(10), table(20, seed=1)
    together = patchcore_scores(normals, tested, seed=0)
    for chosen in ([3], [19, 3, 0], list(range(20))[::-1]):
        alone = patchcore_scores(normals, tested.chosen(np.array(chosen)), seed=0)
        np.testing.assert_allclose(alone, together[chosen], rtol=1e-4, atol=1e-5)


def test_the_seed_decides_and_nothing_else(monkeypatch):
    monkeypatch.setattr(patchcore, "CORESET", 15)
    normals, tested = table(10), table(4, seed=1)
    torch.manual_seed(0)
    first = patchcore_scores(normals, tested, seed=3)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    np.testing.assert_array_equal(patchcore_scores(normals, tested, seed=3), first)
    assert torch.equal(torch.get_rng_state(), state), "the global generator was used"
    assert not np.array_equal(patchcore_scores(normals, tested, seed=4), first)


def test_no_test_images_give_no_scores():
    assert patchcore_scores(table(3), table(0), seed=0).shape == (0,)
