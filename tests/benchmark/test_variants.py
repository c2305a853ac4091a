"""Variants are taken apart and put together in one place; impossible ones are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahl._common.errors import ConfigurationError
from ahl.benchmark.methods import find_method
from ahl.benchmark.variants import ABLATIONS, Variant, take_apart, titled
from ahl.config import default

TEXT = "ahl-dra, distributions.clusters=4,importance.source=equal"


def test_name_fields_and_values():
    name, settings = take_apart(TEXT)
    assert name == "ahl-dra"
    assert settings == (("distributions.clusters", "4"), ("importance.source", "equal"))
    assert titled("AHL", settings) == "AHL, distributions.clusters=4, importance.source=equal"
    variant = Variant.parse(TEXT)
    assert (variant.method.name, variant.text) == ("ahl-dra", TEXT)
    assert variant.shown_without("distributions.clusters") == "AHL(DRA), importance.source=equal"
    assert variant.settings == (("distributions.clusters", 4), ("importance.source", "equal"))


@given(st.text(alphabet="ab.=, x1"))
def test_what_is_taken_apart_can_be_put_together(text):
    name, settings = take_apart(text)
    assert take_apart(titled(name, settings)) == (name, settings)


def test_variants_are_read_and_refused():
    variant = Variant.parse("ahl-dra, distributions.clusters=4,importance.source=equal")
    config = variant.configure(default())
    assert (config.distributions.clusters, config.importance.source) == (4, "equal")
    for wrong, reason in (
        ("nobody", "Unknown method"),
        ("dra,clusters=4", "SECTION.FIELD=VALUE"),
        ("dra,distributions.clusters", "SECTION.FIELD=VALUE"),
        ("dra,distributions.clusters=", "SECTION.FIELD=VALUE"),
        ("dra,learning.episodes=True", "dra has learning.episodes=False by definition"),
        (
            "ahl-dra,learning.episodes=False",
            "ahl-dra has learning.episodes=True by definition",
        ),
        ("+cdl-,learning.episodes=False", "by definition"),
        (
            "+hadg,distributions.grouping=random",
            r"\+hadg has distributions.grouping=k-means by definition",
        ),
        ("+ramhadg,distributions.grouping=random", "by definition"),
        ("+hadg,calibration.folds=2", "by definition"),
        ("patchcore,memory.patches=7", "patchcore takes no settings"),
        ("kdad,learning.epochs=7", "takes no settings"),
        ("logistic,heads.margin=7", "takes no settings"),
    ):
        with pytest.raises(ConfigurationError, match=reason):
            Variant.parse(wrong)
    for wrong in (
        "dra,heads.nothing=1",
        "dra,heads.margin=-1",
        "dra,heads.margin=much",
        "dra,features.image_size=96",
        "dra,finetune.epochs=3",
    ):
        with pytest.raises(ConfigurationError):
            Variant.parse(wrong).configure(default())


def test_every_ablation_names_methods_that_are_there():
    for variants in ABLATIONS.values():
        for text in variants:
            variant = Variant.parse(text)
            variant.configure(default())
            assert find_method(variant.method.name) is variant.method
