"""The config refuses what cannot work, and says which field that is."""

import dataclasses

import numpy as np
import pytest

from ahl._common.errors import ConfigurationError
from ahl.config import (
    CalibrationConfig,
    Config,
    DistributionConfig,
    FeatureConfig,
    HeadConfig,
    LearningConfig,
    default,
    paper,
)


@pytest.mark.parametrize(
    ("section", "values", "says"),
    [
        (LearningConfig, {"epochs": 0}, r"learning.epochs is 0; expected int >= 1\."),
        (LearningConfig, {"epochs": 2.5}, r"learning.epochs is 2\.5; expected int"),
        (LearningConfig, {"epochs": True}, r"learning.epochs is True; expected int"),
        (LearningConfig, {"epochs": 10**400}, r"learning.epochs is 1000"),
        (LearningConfig, {"episodes": 1}, r"learning.episodes is 1; expected bool"),
        (LearningConfig, {"inner_rate": float("nan")}, r"learning.inner_rate is nan"),
        (LearningConfig, {"outer_rate": 1.0}, r"learning.outer_rate is 1\.0; expected float < 1"),
        (HeadConfig, {"margin": float("inf")}, r"heads.margin is inf"),
        (HeadConfig, {"margin": "five"}, r"heads.margin is 'five'; expected float"),
        (CalibrationConfig, {"folds": 1}, r"calibration.folds is 1; expected 0, or from 2"),
        (
            DistributionConfig,
            {"grouping": "x"},
            r"distributions.grouping is 'x'; .*one of k",
        ),
        (FeatureConfig, {"image_size": (30, 64)}, r"features.image_size is \(30, 64\).*even sides"),
    ],
)
def test_a_value_that_cannot_work_is_refused(section, values, says):
    with pytest.raises(ConfigurationError, match=says):
        section(**values)
    with pytest.raises(ConfigurationError, match=says):
        dataclasses.replace(section(), **values)


def test_numbers_are_taken_however_they_are_held():
    config = LearningConfig(epochs=np.int64(3), inner_rate=np.float64(0.25), outer_rate=0.5)
    assert [type(value) for value in (config.epochs, config.inner_rate)] == [int, float]
    assert type(HeadConfig(margin=5).margin) is float
    assert FeatureConfig(image_size=[64, 32]).image_size == (64, 32)


@pytest.mark.parametrize("preset", [default, paper])
def test_other_fields_than_a_config_has_are_refused(preset):
    config = preset()
    assert Config.from_dict(config.to_dict()) == config
    for section, fields in config.to_dict().items():
        for change in (
            {section: fields | {"evil": 1}},
            {section: dict(list(fields.items())[1:])},
            {section: list(fields)},
            {"evil": {}},
        ):
            with pytest.raises(ConfigurationError, match="needs"):
                Config.from_dict(config.to_dict() | change)
    with pytest.raises(ConfigurationError, match="sections"):
        Config.from_dict([])


@pytest.mark.parametrize(
    ("epochs", "averaged", "steps", "before"),
    [(30, 15, 30, 15), (30, 15, 240, 120), (30, 1, 30, 29), (4, 9, 8, 0), (3, 1, 10, 6)],
)
def test_an_average_is_of_the_steps_of_the_last_epochs(epochs, averaged, steps, before):
    config = LearningConfig(epochs=epochs, averaged_epochs=averaged)
    assert config.steps_before_average(steps) == before


@pytest.mark.parametrize(
    ("averaged", "epochs", "expected"), [(15, 10, 5), (2, 10, 2), (15, 1, 1), (15, 7, 3)]
)
def test_going_on_alone_averages_the_last_half_at_most(averaged, epochs, expected):
    """Without episodes: a model that is adapted or updated has none."""
    config = LearningConfig(episodes=True, averaged_epochs=averaged, batch_size=12)
    found = config.alone(epochs)
    assert found == dataclasses.replace(
        config, episodes=False, epochs=epochs, averaged_epochs=expected
    )
