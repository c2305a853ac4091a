"""A trained model on another product, with normal images alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ahl import AHL
from ahl._common.errors import ConfigurationError, DataError
from ahl.config import DistributionConfig
from ahl.evidence.out_of_fold import sample_evidence
from ahl.evidence.prepared import renew_preparation
from ahl.features.maps import FeatureLayout
from ahl.features.table import FeatureTable
from ahl.learning.state import start_state
from ahl.model.decision import decide
from ahl.pipeline.adapt import adapt_on_features, plan_twins
from ahl.scoring.metrics import auroc
from small_images import small_image
from tiny import TinyBackbone, fit, tiny_config

CPU = torch.device("cpu")
LAYOUT = FeatureLayout(((6, 4, 4), (6, 2, 2)))


def product(count, seed, *, base=0.0, defect=0.0):
    """Maps of one product: noise around `base`, with a defect at one position."""
    random = np.random.default_rng(seed)
    full = random.normal(base, 1, (count, 6, 4, 4))
    full[:, 0, 1, 1] += defect
    return full, full[:, :, ::2, ::2]


def table(maps):
    rows = LAYOUT.join([torch.from_numpy(scale) for scale in maps])
    return FeatureTable.of_rows(LAYOUT, rows.half().numpy())


@pytest.fixture(scope="module")
def trained():
    config = tiny_config(epochs=12, rounds=4, inner_steps=1)
    detector = AHL(config=config, seed=1)
    return detector.fit_features(
        product(30, 0), product(5, 1, defect=6.0), pseudo=[product(30, 2, defect=5.0)]
    ).model_


def adapted(model, normals, **others):
    rows = table(normals)
    plan = plan_twins(len(rows), 1, model.config.distributions, seed=model.seed)
    pseudo = table(product(len(plan), 9, base=2.0, defect=5.0))
    return adapt_on_features(model, rows, pseudo, plan, device=CPU, **others)


def ranking(model):
    tested = [
        np.concatenate(p)
        for p in zip(product(30, 20, base=2.0), product(30, 21, base=2.0, defect=6.0), strict=True)
    ]
    rows = table(tested).rows(np.arange(60))
    return auroc([0] * 30 + [1] * 30, model.score_rows(rows).score.numpy())


def test_the_new_product_is_told_from_its_defects(trained):
    model = adapted(trained, product(30, 10, base=2.0))
    assert ranking(model) > 0.9
    assert len(model.history) == len(trained.history) + 10


def test_reference_and_memory_are_those_of_the_new_normals(trained):
    normals = product(30, 10, base=2.0)
    model = adapted(trained, normals, epochs=1)
    for scale, given in zip(model.reference, normals, strict=True):
        expected = torch.from_numpy(given).half().double().mean(dim=0) * trained.preparation.factor
        torch.testing.assert_close(scale[:-1].double(), expected, rtol=1e-3, atol=1e-2)
    assert all(patches.mean() > 1.5 for patches in model.preparation.memory.patches)
    assert all(patches.mean() < 0.5 for patches in trained.preparation.memory.patches)


def test_scores_are_measured_in_spreads_of_the_new_normals(trained):
    model = adapted(trained, product(30, 10, base=2.0), epochs=2)
    assert model.calibration.means != trained.calibration.means
    assert model.calibration.weights == trained.calibration.weights
    maps = [torch.from_numpy(scale) for scale in product(40, 30, base=2.0)]
    rows = model.layout.join(maps).half().float()
    usual = model.score_rows(rows).score
    assert abs(float(usual.median())) < 3.0


def test_spreads_are_those_of_the_adapted_heads(trained):
    """The new normals lie at 0 on the average, each kind of evidence by itself."""
    normals = product(30, 10, base=2.0)
    model = adapted(trained, normals)
    data = renew_preparation(
        trained.preparation, table(normals), None, np.empty(0, np.int64), model.config, seed=1
    ).normals
    found = sample_evidence(
        model.detector, model.unified, data, np.arange(30), model.reference, model.preparation
    )
    for name, mean, spread in zip(
        model.calibration.names, model.calibration.means, model.calibration.deviations, strict=True
    ):
        assert float(found[name].mean()) == pytest.approx(mean, rel=1e-3, abs=1e-3)
        assert float(found[name].std(correction=0)) == pytest.approx(spread, rel=1e-2, abs=1e-3)


def test_adapting_goes_on_from_the_trained_heads_without_the_old_threshold(trained):
    """After an epoch the heads are near those before, and no threshold of theirs is left."""
    decided = replace(trained, decision=decide(np.arange(30.0), 0.1))
    model = adapted(decided, product(30, 10, base=2.0), epochs=1)
    assert model.decision is None
    assert len(trained.exemplars)
    assert not len(model.exemplars), "images of the old product, of its threshold too"
    new = start_state(trained.detector, trained.config, seed=trained.seed).unified.parameters

    def distance(one, other):
        return sum(float((one[name] - value).square().sum()) for name, value in other.items())

    moved = distance(model.unified.parameters, trained.unified.parameters)
    assert moved < 0.2 * distance(model.unified.parameters, new)


def test_no_more_is_adapted_than_the_model_has(trained):
    """Neither pseudo anomalies nor a memory where the training had none."""
    plain = DistributionConfig(pseudo=False)
    assert plan_twins(20, 2, plain, seed=0) == []
    assert plan_twins(20, 2, DistributionConfig(), seed=0)
    bare = replace(trained.preparation, memory=None)
    rows, nothing = table(product(10, 3)), np.empty(0, np.int64)
    found = renew_preparation(bare, rows, None, nothing, trained.config, seed=0)
    assert found.preparation.memory is None
    assert found.normals.layout == LAYOUT


def test_the_old_model_stays_as_it_was(trained):
    before = {name: value.clone() for name, value in trained.unified.parameters.items()}
    adapted(trained, product(30, 10, base=2.0), epochs=2)
    assert all(torch.equal(trained.unified.parameters[k], v) for k, v in before.items())


def test_the_same_normals_give_the_same_model(trained):
    one, two = (adapted(trained, product(30, 10, base=2.0), epochs=2) for _ in range(2))
    for name, value in one.unified.parameters.items():
        assert torch.equal(value, two.unified.parameters[name])


def test_other_features_are_refused(trained):
    wrong = FeatureTable.of_rows(FeatureLayout(((6, 3, 3),)), np.zeros((4, 54), np.float16))
    with pytest.raises(ConfigurationError, match="trained on"):
        adapt_on_features(trained, wrong, None, [], device=CPU)


def test_images_are_adapted_to_and_remembered_in_the_manifest(tmp_path):
    detector = AHL(backbone=TinyBackbone(), config=tiny_config(epochs=2))
    fit(detector, [small_image("good", i) for i in range(6)], [small_image("dot", 0)])
    before = detector.model_
    new = [255 - small_image("good", i) for i in range(5)]
    detector.adapt(new, epochs=2).save(tmp_path / "new.ahl")
    loaded = AHL.load(tmp_path / "new.ahl", backbones=[TinyBackbone])
    assert len(loaded.model_.manifest.files) == len(before.manifest.files) + 5
    assert np.array_equal(loaded.decision_function(new), detector.decision_function(new))
    assert before.manifest.seen_classes == {"anomaly"}
    assert loaded.model_.manifest.seen_classes == set(), "a class of the old product is another one"
    assert loaded.model_.manifest.hashes > before.manifest.hashes
    with pytest.raises(DataError, match="2 are needed"):
        detector.adapt(new[:1])


def test_a_model_of_feature_maps_cannot_read_images(trained):
    detector = AHL(config=trained.config)._fitted(trained)
    with pytest.raises(DataError, match="feature maps"):
        detector.adapt([small_image("good", i) for i in range(3)])
