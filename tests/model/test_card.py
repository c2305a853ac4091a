"""A model's card comes back from its values, and refuses what no model writes."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahl import AHL, RunSettings
from ahl.model.card import ModelCard
from ahl.scoring.torch_scorer import card_of
from small_images import small_image
from tiny import TinyBackbone, fit, tiny_config


@pytest.fixture(scope="module")
def card():
    detector = AHL(
        backbone=TinyBackbone(), config=tiny_config(epochs=2), run=RunSettings(cache=None)
    )
    fit(detector, [small_image("good", i) for i in range(24)], [small_image("dot", 0)], ["dot"])
    detector.threshold(max_false_alarm_rate=0.2)
    return card_of(detector.model_)


def test_it_says_what_the_model_was_shown(card):
    assert (card.normals, card.anomalies, card.classes) == (24, 1, ("dot",))
    assert (card.base, card.backbone, card.image_size) == ("dra", "tiny", (48, 48))
    assert card.evidence == (*card.heads, "memory")
    assert set(card.meanings) == set(card.evidence)
    assert card.decision.max_false_alarm_rate == 0.2
    assert len(card.sha256) == 64


def test_it_comes_back_from_json(card):
    values = json.loads(json.dumps(card.values()))
    back = ModelCard.rebuild(values)
    assert back == card
    for own, again in zip(card.shown_normals, back.shown_normals, strict=True):
        assert (own.name, own.class_name) == (again.name, again.class_name)
        np.testing.assert_array_equal(own.picture, again.picture)
    assert len(back.shown_anomalies) == 1


def test_equal_models_have_equal_hashes_and_others_do_not(card):
    detector = AHL(
        backbone=TinyBackbone(), config=tiny_config(epochs=2), run=RunSettings(cache=None)
    )
    fit(detector, [small_image("good", i) for i in range(24)], [small_image("dot", 0)], ["dot"])
    before = card_of(detector.model_).sha256
    detector.threshold(max_false_alarm_rate=0.2)
    assert before != card_of(detector.model_).sha256 == card.sha256


@pytest.mark.parametrize("shown", ["names", "classes", "pictures"])
@given(value=st.one_of(st.none(), st.integers(), st.text(max_size=5), st.lists(st.integers())))
def test_other_pictures_are_refused(card, shown, value):
    values = card.values()
    if shown == "pictures" and value is None:
        return
    values["shown_normals"] = {**values["shown_normals"], shown: value}
    with pytest.raises((TypeError, ValueError)):
        ModelCard.rebuild(values)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_size", 0),
        ("image_size", 48),
        ("image_size", 10**6),
        ("image_size", True),
        ("image_size", "224"),
        ("image_size", [224]),
        ("image_size", [224, 0]),
        ("heads", "seen"),
        ("meanings", {"seen": 1}),
        ("colour_bounds", [2.0, 1.0]),
        ("colour_bounds", [float("nan"), 1.0]),
        ("classes", [1]),
        ("normals", -1),
        ("version", None),
        ("probability", {"midpoint": 1.0, "slope": -1.0}),
    ],
)
def test_what_no_model_writes_is_refused(card, name, value):
    with pytest.raises((TypeError, ValueError)):
        ModelCard.rebuild({**card.values(), name: value})


def test_pictures_that_some_lack_are_left_out(card):
    some = (card.shown_normals[0], replace(card.shown_normals[1], picture=None))
    back = ModelCard.rebuild(replace(card, shown_normals=some).values())
    assert [one.picture for one in back.shown_normals] == [None, None]
