"""Which images of the training an image is most like."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ahl import AHL, RunSettings
from ahl.evidence.coreset import patches_of
from ahl.features.table import table_of_maps
from ahl.model.exemplars import no_exemplars
from ahl.scoring.heat_maps import position_evidence
from ahl.scoring.nearest import Album
from ahl.scoring.scorer import (
    ANOMALY,
    ANOMALY_DISTANCE,
    ANOMALY_LIKE,
    ANOMALY_PLACE,
    read_outputs,
)
from ahl.scoring.torch_scorer import Forward, card_of
from small_images import small_image
from tiny import TinyBackbone, fit, tiny_config

SCRATCH, STAIN = 0, 3
"""Channels that two kinds of defect show in."""


def maps(count, seed, place=None, channel=SCRATCH, shift=0.0):
    random = np.random.default_rng(seed)
    full = random.normal(0, 1, (count, 6, 8, 8))
    full[:, 5] += shift
    if place is not None:
        y, x = place
        full[:, channel, y - 1 : y + 2, x - 1 : x + 2] += 9
    return full, full.reshape(count, 6, 4, 2, 4, 2).mean(axis=(3, 5))


def joined(*parts):
    return tuple(np.concatenate(scales) for scales in zip(*parts, strict=True))


@pytest.fixture(scope="module")
def model():
    config = tiny_config(epochs=12, rounds=4, inner_steps=1, outer_rate=0.01)
    detector = AHL(config=config, seed=1)
    normals = joined(maps(15, 0), maps(15, 5, shift=4.0))
    anomalies = joined(maps(3, 1, (2, 5), SCRATCH), maps(3, 2, (5, 1), STAIN))
    return detector.fit_features(normals, anomalies, pseudo=[maps(30, 3, (4, 4))]).model_


@pytest.fixture(scope="module")
def named(model):
    """Kept images that tell which they are."""
    kept = model.exemplars
    images = tuple(replace(one, name=str(i)) for i, one in enumerate(kept.images))
    return replace(model, exemplars=replace(kept, images=images))


def seen(model, *args, **keywords):
    rows = table_of_maps(maps(1, *args, **keywords)).rows(np.array([0]))
    return model.preparation.maps(rows.float())


def predicted(model, *images):
    """What is said of images that are given as the heads see them."""
    together = tuple(torch.cat(scales) for scales in zip(*images, strict=True))
    tensors = Forward(model)(together, nearest=True)
    return read_outputs({name: value.numpy() for name, value in tensors.items()}, card_of(model))


@pytest.mark.parametrize(("channel", "first"), [(SCRATCH, 30), (STAIN, 33)])
@pytest.mark.parametrize("place", [(1, 1), (6, 4)])
def test_the_nearest_anomaly_has_the_same_defect_wherever_it_is(named, channel, first, place):
    found = predicted(named, seen(named, 40, place, channel))[0].nearest_anomaly
    assert int(found.name) in range(first, first + 3)
    assert found.place == pytest.approx([(p + 0.5) / 8 for p in place], abs=0.3)
    shown = ((2, 5), (5, 1))[first == 33]
    assert found.like == pytest.approx([(p + 0.5) / 8 for p in shown], abs=0.3)
    assert 0 < found.distance < 0.5


@pytest.mark.parametrize(("shift", "expected"), [(0.0, range(15)), (4.0, range(15, 30))])
def test_the_nearest_normal_is_of_the_same_kind(named, shift, expected):
    for one in predicted(named, *(seen(named, seed, shift=shift) for seed in range(50, 55))):
        found = one.nearest_normal
        assert int(found.name) in expected
        assert found.place is None


def marks_by_hand(model, given):
    """Of the five hottest places: unit vectors from the nearest remembered patch, and where."""
    (heat,) = position_evidence(model, given)[0]
    height, width = heat.shape
    patches = patches_of(given[0][:, :-1])[0] / model.preparation.factor
    found = []
    for place in heat.flatten().argsort(descending=True)[:5].tolist():
        differences = patches[place] - model.preparation.memory.patches[0]
        nearest = differences[differences.norm(dim=1).argmin()]
        y, x = divmod(place, width)
        found.append((nearest / nearest.norm(), ((y + 0.5) / height, (x + 0.5) / width)))
    return found


def test_the_nearest_anomaly_is_that_of_plain_loops():
    """Upright maps, whose rows and columns differ; 1 - cosine, the mean over the places."""
    model = AHL(config=tiny_config(epochs=3), seed=1)
    upright = [
        tuple(scale[..., : scale.shape[-1] // 2] for scale in one)
        for one in (
            maps(20, 0),
            joined(maps(2, 1, (2, 1)), maps(2, 2, (5, 2), STAIN)),
            maps(4, 9, (6, 1)),
        )
    ]
    model = model.fit_features(*upright[:2]).model_
    kept = model.exemplars.chosen(model.exemplars.of_role("anomaly"))
    with torch.no_grad():
        known = [marks_by_hand(model, model.prepared_maps(row)) for row in kept.rows]
        for row in table_of_maps(upright[2]).rows(np.arange(4)):
            given = model.preparation.maps(row[None].float())
            found = Album(model).nearest_anomaly(given, position_evidence(model, given)[0])
            own = marks_by_hand(model, given)
            table = [[[1 - float(a @ b) for b, _ in one] for a, _ in own] for one in known]
            distances = [np.mean([min(line) for line in lines]) for lines in table]
            best = int(np.argmin(distances))
            assert int(found[ANOMALY][0]) == best
            assert float(found[ANOMALY_DISTANCE][0]) == pytest.approx(distances[best], abs=1e-4)
            assert found[ANOMALY_PLACE][0].tolist() == pytest.approx(own[0][1])
            like = known[best][int(np.argmin(table[best][0]))][1]
            assert found[ANOMALY_LIKE][0].tolist() == pytest.approx(like)


def test_a_model_that_keeps_none_has_none(model):
    width = model.detector.layout.row_size
    (found,) = predicted(replace(model, exemplars=no_exemplars(width)), seen(model, 40))
    assert found.nearest_normal is None
    assert found.nearest_anomaly is None


def test_an_images_likenesses_do_not_depend_on_its_batch(named):
    images = [seen(named, 60 + i, (1 + i, 3), SCRATCH if i % 2 else STAIN) for i in range(4)]
    for one, alone in zip(predicted(named, *images), images, strict=True):
        (found,) = predicted(named, alone)
        for near, expected in (
            (one.nearest_anomaly, found.nearest_anomaly),
            (one.nearest_normal, found.nearest_normal),
        ):
            assert (near.name, near.place, near.like) == (
                expected.name,
                expected.place,
                expected.like,
            )
            assert near.distance == pytest.approx(expected.distance, abs=1e-5)


def test_predictions_have_names_and_pictures_when_asked():
    detector = AHL(
        backbone=TinyBackbone(), config=tiny_config(epochs=2), run=RunSettings(cache=None)
    )
    fit(detector, [small_image("good", i) for i in range(12)], [small_image("dot", 0)], ["dot"])
    images = [small_image("good", 3), small_image("dot", 0)]
    plain, asked = list(detector.explain(images)), list(detector.explain(images, nearest=True))
    assert plain[0].nearest_normal is None
    assert plain[0].nearest_anomaly is None
    assert [p.score for p in plain] == [p.score for p in asked]
    assert asked[0].nearest_normal.name == "good[3]"
    assert asked[0].nearest_normal.distance == pytest.approx(0.0, abs=0.1)
    assert asked[1].nearest_anomaly.class_name == "dot"
    assert asked[1].nearest_anomaly.picture.shape == (64, 64, 3)
