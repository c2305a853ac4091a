"""The features of a draw: what is trained on is not tested, and scores and samples go together."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ahl._common.callbacks import Callback
from ahl.benchmark.problem import open_draw
from ahl.data import draw_split, open_dataset
from ahl.distributions.pseudo import PseudoAnomaly
from ahl.features.backbones.choice import BackboneChoice
from small_images import write_class
from tiny import TinyBackbone, tiny_config


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    """Three kinds of parts, of which one has no training example."""
    root = tmp_path_factory.mktemp("draw")
    write_class(root / "train" / "good", "good", 8)
    write_class(root / "test" / "good", "good", 4, first=100)
    for name, kind in (("dot", "dot"), ("frame", "frame")):
        write_class(root / "test" / name, kind, 3)
    return draw_split(open_dataset(root), anomalies=2, setting="hard", known_class="dot", seed=0)


def opened(split, seed=0):
    return open_draw(
        split,
        BackboneChoice(backbone=TinyBackbone()),
        tiny_config(),
        seed=seed,
        device=torch.device("cpu"),
        cache=None,
        callback=Callback(),
    )


def rows(table):
    return table.rows(np.arange(len(table)))


def test_images_trained_on_are_not_tested_whatever_their_names(split):
    """Datasets hold identical files: a normal and an anomaly of the training stand in the test."""
    copies = (
        replace(split.normals[0], name="test/good/copy.png"),
        replace(split.anomalies[0], name="test/dot/copy.png"),
    )
    with opened(replace(split, test=(*copies, *split.test))) as draw:
        assert draw.duplicates == 2
        assert [sample.name for sample in draw.test] == [sample.name for sample in split.test]
        assert len(draw.problem.test) == len(split.test)


def test_each_tested_sample_has_its_own_features(split):
    """Labels are taken in the order of the samples, scores in that of the features."""
    with opened(split) as draw:
        together = rows(draw.problem.test)
    for sample, row in zip(draw.test, together, strict=True):
        others = [one for one in split.test if one.is_anomaly != sample.is_anomaly]
        with opened(replace(split, test=(sample, others[0]))) as alone:
            assert torch.equal(rows(alone.problem.test)[0], row), sample.name
    assert len(torch.unique(together, dim=0)) == len(together)


def test_every_image_is_in_one_table(split):
    """Those of the test train nothing; the files all differ, and so do their features."""
    with opened(split) as draw:
        problem = draw.problem
        tables = [rows(table) for table in (problem.normals, problem.anomalies, problem.test)]
    assert [len(table) for table in tables] == [8, 2, len(split.test)]
    everything = torch.cat(tables)
    assert len(torch.unique(everything, dim=0)) == len(everything)


def test_seen_classes_are_those_trained_on(split):
    with opened(split) as draw:
        assert draw.seen_classes == {"dot"}
        assert {sample.class_name for sample in draw.test} == {"good", "frame"}


def test_the_seed_makes_the_pseudo_anomalies(split):
    plan = [PseudoAnomaly(generator=g, normal=i) for g in range(3) for i in range(3)]
    made = []
    for seed in (1, 1, 2):
        with opened(split, seed) as draw:
            made.append(rows(draw.problem.make_pseudo(plan)))
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
