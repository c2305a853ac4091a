"""KDAD: a student that copies normal patches only."""

import numpy as np
import pytest
import torch

from ahl.benchmark.baselines import distil_and_score, distillation
from ahl.benchmark.baselines.distillation import Student, discrepancy
from ahl.evidence.coreset import patches_of
from ahl.features.maps import FeatureLayout
from ahl.features.table import FeatureTable
from ahl.scoring.metrics import auroc
from synthetic_features import LAYOUT, SCRATCH, draw_anomalies, draw_normals, group_of, to_rows

WIDE = FeatureLayout(((3, 5, 5), (3, 2, 2)))


def normal_table(count, seed=0):
    return FeatureTable.of_rows(LAYOUT, to_rows(draw_normals(group_of(count), seed)))


def wide_table(count, seed=0, constant=()):
    rows = np.random.default_rng(seed).normal(2.0, 3.0, (count, WIDE.row_size))
    maps = WIDE.split(torch.from_numpy(rows))
    for scale in maps:
        for channel in constant:
            scale[:, channel] = 0.3 + channel
    return FeatureTable.of_rows(WIDE, WIDE.join(maps).numpy().astype(np.float16))


@pytest.fixture
def few_steps(monkeypatch):
    monkeypatch.setattr(distillation, "STEPS", 5)


def test_discrepancy_is_mean_squared_difference_and_angle():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        student = Student(4)
    features = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours, copies = discrepancy(student, features), student(features)
    for distance, copied, feature in zip(ours, copies.double(), features.double(), strict=True):
        a, b = copied.numpy(), feature.numpy()
        value = sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) / 4
        cosine = sum(a * b) / (np.sqrt(sum(a * a)) * np.sqrt(sum(b * b)))
        assert float(distance) == pytest.approx(value + 1 - cosine, rel=1e-5)


def test_the_score_is_the_mean_of_the_worst_tenth_of_standardised_patches(monkeypatch):
    """With a discrepancy that is the first channel itself: 25 patches, so the worst two."""
    monkeypatch.setattr(distillation, "STEPS", 0)
    monkeypatch.setattr(distillation, "discrepancy", lambda student, features: features[..., 0])
    normals, tested = wide_table(9), wide_table(70, seed=1)

    def first_channel(images):
        rows = images.rows(np.arange(len(images)))
        return patches_of(WIDE.split(rows)[0])[..., 0].double().numpy()

    of_normals = first_channel(normals)
    standardised = (first_channel(tested) - of_normals.mean()) / of_normals.std()
    expected = [sum(sorted(image)[-2:]) / 2 for image in standardised]
    np.testing.assert_allclose(distil_and_score(normals, tested, seed=0), expected, rtol=1e-4)


def test_anomalies_score_higher():
    tested = FeatureTable.of_rows(
        LAYOUT,
        np.concatenate([to_rows(draw_normals(group_of(30), 5)), draw_anomalies(30, SCRATCH, 6)]),
    )
    scores = distil_and_score(normal_table(60), tested, seed=0)
    assert auroc(np.repeat([0, 1], 30), scores) > 0.8


def test_training_makes_normals_easier_to_copy(monkeypatch):
    means = []
    for steps in (0, 150):
        monkeypatch.setattr(distillation, "STEPS", steps)
        means.append(distil_and_score(normal_table(30), normal_table(10, 1), seed=0).mean())
    assert means[1] < 0.7 * means[0]


@pytest.mark.usefixtures("few_steps")
def test_the_seed_decides_and_torchs_global_generator_is_left_as_it_was():
    normals, tested = wide_table(9), wide_table(4, seed=1)
    torch.manual_seed(0)
    first = distil_and_score(normals, tested, seed=3)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    np.testing.assert_array_equal(distil_and_score(normals, tested, seed=3), first)
    assert torch.equal(torch.get_rng_state(), state)
    assert not np.allclose(distil_and_score(normals, tested, seed=4), first)


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("constant", [(1,), (0, 2), (0, 1, 2)])
def test_constant_channels_give_finite_scores(constant):
    normals = wide_table(9, constant=constant)
    for tested in (wide_table(4, seed=1, constant=constant), wide_table(4, seed=1)):
        assert np.isfinite(distil_and_score(normals, tested, seed=0)).all()


@pytest.mark.usefixtures("few_steps")
def test_a_score_does_not_depend_on_the_other_test_images():
    normals, tested = wide_table(9), wide_table(5, seed=1)
    together = distil_and_score(normals, tested, seed=0)
    alone = distil_and_score(normals, tested.chosen(np.array([4, 2])), seed=0)
    np.testing.assert_allclose(alone, together[[4, 2]], rtol=1e-5)
    assert distil_and_score(normals, wide_table(0), seed=0).shape == (0,)
