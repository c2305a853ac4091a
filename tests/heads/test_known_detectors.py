"""Base detectors by name: ours, and one's own."""

import pytest

from ahl import AHL, RunSettings
from ahl._common.errors import ConfigurationError
from ahl.heads import DETECTORS, DevNet, known_detectors
from small_images import small_image
from tiny import TinyBackbone, fit, tiny_config


class Own(DevNet):
    name = "own"


class Shadow(DevNet):
    """Called `devnet` too."""


class Memory(DevNet):
    name = "own"
    head_names = ("memory",)


def test_ours_and_ones_own_are_known_by_name():
    assert known_detectors([Own, DETECTORS[0]]) == {**{d.name: d for d in DETECTORS}, "own": Own}


@pytest.mark.parametrize(
    ("detector", "says"),
    [
        (Shadow, "called 'devnet'"),
        (Memory, "another name"),
        (int, "not a subclass"),
        (3, "not a subclass"),
    ],
)
def test_what_is_none_or_takes_our_names_is_refused(detector, says, tmp_path):
    with pytest.raises(ConfigurationError, match=says):
        fit(AHL(heads=detector), [small_image("good", 0)] * 2, [small_image("dot", 0)])
    fit(
        AHL(backbone=TinyBackbone(), config=tiny_config(epochs=1), run=RunSettings(cache=None)),
        [small_image("good", i) for i in range(4)],
        [small_image("dot", 0)],
    ).save(tmp_path / "m.ahl")
    with pytest.raises(ConfigurationError, match=says):
        AHL.load(tmp_path / "m.ahl", heads=[detector])
