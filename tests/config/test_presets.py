"""The preset `paper` has the published constants, written out here a second time."""

from dataclasses import asdict, replace

import pytest

from ahl.config import FeatureConfig, HeadConfig, default, paper, preset

PUBLISHED = {
    # Images of 448 x 448 pixels, channels as the backbone gives them, nothing of ours.
    "features": {"image_size": (448, 448), "tiles": 0},
    "vectors": {"components": 0, "l1_norm": 0.0},
    "memory": {"patches": 0},
    "calibration": {"folds": 0},
    # Section 3.2: three clusters, so six pairs and the whole; half of the anomalies are seen.
    "distributions": {
        "grouping": "k-means",
        "clusters": 3,
        "smallest_cluster": 3,
        "virtual_seen_fraction": 0.5,
        "anomaly_overlap": "support_in_query",
        "pseudo": True,
        "twin_fraction": 0.5,
        "max_episodes": 0,
    },
    # DRA and DevNet: a tenth of the positions, margin 5, 5,000 draws, five reference normals.
    "heads": {
        "top_fraction": 0.1,
        "margin": 5.0,
        "prior_draws": 5000,
        "holistic_hidden": 256,
        "pseudo_weight": 1.0,
        "holistic_pseudo": True,
        "initial_scale": 1.0,
        "residual_bottleneck": 0,
        "residual_channels": 0,
        "reference_normals": 5,
        "stored_references": 5,
        "norm_momentum": 0.1,
    },
    # Algorithm 1: 30 epochs of 20 support batches of 48 images and one outer step each.
    "learning": {
        "epochs": 30,
        "rounds": 1,
        "inner_steps": 20,
        "query_batches": 1,
        "batch_size": 48,
        "inner_rate": 0.0002,
        "outer_rate": 0.005,
        "averaged_epochs": 1,
        "episodes": True,
        "second_order": False,
    },
    # Section 3.4: five past scores, seven hidden units; from the fifth epoch on.
    "importance": {
        "source": "psi",
        "history": 5,
        "first_epoch": 4,
        "hidden": 7,
        "rate": 0.02,
        "steps": 10,
        "batch_size": 256,
        "error": "calibrated",
        "unseen_weight": 1.0,
        "seen_weight": 0.5,
    },
    # Stage 0.
    "finetune": {
        "epochs": 30,
        "steps": 20,
        "batch_size": 48,
        "rate": 0.0002,
        "weight_decay": 0.00001,
        "decay_every": 10,
        "decay": 0.1,
    },
}

OFF = {"memory", "calibration"}
"""Parts of ours that the preset does without: their other constants mean nothing."""

NO_MATTER = {"minutes", "batch_size", "bit_depth"}
"""Constants of the extraction that change no figure, or are of the files."""


@pytest.mark.parametrize("section", PUBLISHED)
def test_every_constant_of_the_paper_is_the_published_one(section):
    """Who changes a default must not change the paper's method with it."""
    found = asdict(paper())[section]
    assert {name: found[name] for name in PUBLISHED[section]} == PUBLISHED[section]


@pytest.mark.parametrize("section", sorted(PUBLISHED.keys() - OFF))
def test_no_constant_of_the_paper_is_left_to_a_default(section):
    """A new constant is measured for the default preset: the paper's value is to be told here."""
    unnamed = set(asdict(paper())[section]) - set(PUBLISHED[section])
    assert unnamed <= (NO_MATTER if section == "features" else set())
    assert set(asdict(paper())) == set(PUBLISHED)


def test_presets_are_known_by_name():
    assert preset("paper") == paper()
    assert preset("default") == default()
    assert preset("paper", image_size=224).features.image_size == (224, 224)


def test_heads_pool_the_share_of_one_tile():
    """The highest tenth of a tile's positions, however many tiles an image has."""
    features = FeatureConfig(image_size=(64, 256), tiles=64)
    config = replace(default(), features=features, heads=HeadConfig(top_fraction=0.2))
    assert config.position_heads.top_fraction == pytest.approx(0.2 / 4)
    assert replace(config, features=replace(features, tiles=0)).position_heads == config.heads
