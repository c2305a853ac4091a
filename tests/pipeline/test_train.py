"""From images, or feature maps, to the task: each pseudo anomaly has its own features."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ahl import AHL, RunSettings
from ahl.config import DistributionConfig
from ahl.distributions.augment.base import PseudoAnomalyGenerator
from ahl.distributions.pseudo import plan_pseudo_anomalies
from ahl.pipeline import train
from small_images import small_image
from tiny import TinyBackbone, fit, tiny_config


class Copy(PseudoAnomalyGenerator):
    """Tampers with nothing: a pseudo anomaly has the features of its normal."""

    name = "copy"

    def __call__(self, image, source, random):
        return image.copy()


class Negative(PseudoAnomalyGenerator):
    name = "negative"

    def __call__(self, image, source, random):
        return 255 - image


class StopError(Exception):
    pass


@pytest.fixture
def given(monkeypatch):
    """What the training gives `prepare`: (normals, pseudo, plan)."""
    found = []

    def stop(_, normals, anomalies, pseudo, episodes, *others, **constants):
        found.extend((normals, pseudo, plan_pseudo_anomalies(episodes)))
        raise StopError

    monkeypatch.setattr(train, "prepare", stop)
    return found


def rows(table):
    return table.rows(np.arange(len(table)))


def small(config=None, **others):
    config = config or tiny_config(epochs=1)
    return AHL(backbone=TinyBackbone(), config=config, run=RunSettings(cache=None), **others)


def test_each_pseudo_anomalys_features_are_those_of_its_own_image(given):
    """In the order of the plan, by which episodes, folds and the memory look them up."""
    detector = small(generators=[Copy(), Negative()])
    with pytest.raises(StopError):
        fit(detector, [small_image("good", i) for i in range(9)], [small_image("dot", 0)])
    normals, pseudo, plan = given
    assert {one.generator for one in plan} == {0, 1}
    for one, row in zip(plan, rows(pseudo), strict=True):
        same = torch.equal(row, rows(normals)[one.normal])
        assert same is (one.generator == 0)
    assert len(torch.unique(rows(normals), dim=0)) == 9


def test_of_feature_maps_each_twin_is_that_of_its_generator_and_normal(given):
    twins = [np.random.default_rng(seed).normal(size=(12, 6, 4, 4)) for seed in (1, 2)]
    normals = np.random.default_rng(0).normal(size=(12, 6, 4, 4))
    with pytest.raises(StopError):
        AHL(config=tiny_config(epochs=1)).fit_features(normals, normals[:2] + 5, pseudo=twins)
    _, pseudo, plan = given
    assert {one.generator for one in plan} == {0, 1}
    maps = pseudo.maps(torch.arange(len(plan)))[0]
    for one, found in zip(plan, maps, strict=True):
        expected = torch.from_numpy(twins[one.generator][one.normal]).half().float()
        assert torch.equal(found, expected)


@pytest.mark.parametrize("pseudo", [True, False])
def test_fine_tuning_has_pseudo_anomalies_only_where_they_are_wanted(pseudo, monkeypatch):
    given = []

    def stop(backbone, heads, images, *others, **constants):
        given.append(images.generators)
        raise StopError

    monkeypatch.setattr(train, "finetune_backbone", stop)
    config = replace(tiny_config(), distributions=DistributionConfig(pseudo=pseudo))
    detector = small(config, generators=[Copy()], finetune=True)
    with pytest.raises(StopError):
        fit(detector, [small_image("good", i) for i in range(6)], [small_image("dot", 0)])
    assert len(given[0]) == pseudo
