"""The estimator with AHL's episodes and without."""

import numpy as np
import pytest

from ahl import AHL, preset
from small_images import small_image
from tiny import TinyBackbone, fit, tiny_config

PARTS = [small_image("good", i) for i in range(20)]
DEFECTS = [small_image("dot", i) for i in range(4)]


def make(**options) -> AHL:
    return AHL(**{"backbone": TinyBackbone(), "config": tiny_config(), **options})


@pytest.mark.parametrize(
    ("config", "episodes", "expected"),
    [
        (tiny_config(epochs=1, episodes=False), None, False),
        (tiny_config(epochs=1, episodes=False), True, True),
        (tiny_config(epochs=1), None, True),
        (tiny_config(epochs=1), False, False),
        (tiny_config(epochs=1), np.bool_(False), False),  # of a grid over an array
    ],
)
def test_episodes_teach_where_they_are_wished_or_the_config_has_them(config, episodes, expected):
    model = fit(make(config=config, episodes=episodes), PARTS, DEFECTS).model_
    assert model.config.learning.episodes is expected
    assert bool(model.history[-1].query_losses) is expected
    assert bool(model.episodes) is expected


def test_the_default_learns_without_episodes_and_the_paper_with_them():
    assert not preset("default").learning.episodes
    assert preset("paper").learning.episodes


def test_alone_and_second_order_and_paper_heads_train():
    for options in ({"episodes": False}, {"second_order": True}, {"rounds": 2}):
        detector = fit(make(config=tiny_config(epochs=2, **options)), PARTS, DEFECTS)
        assert np.isfinite(detector.decision_function(DEFECTS[:2])).all()
