"""Whatever stands in the place of a number in a model file: it is refused, or images are scored."""

import copy
import math

import pytest
import torch

from ahl import AHL, RunSettings
from ahl._common.errors import AHLError
from ahl._common.tensor_file import read_tensor_file, write_tensor_file
from ahl.model.trained import TrainedModel
from ahl.scoring.torch_scorer import TorchScorer
from small_images import small_image
from tiny import TinyBackbone, fit, tiny_config

HOSTILE = (1e39, -1e39, 1e308, 1e-320, 0, -1, 10**30, 10**400)


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    detector = AHL(
        backbone=TinyBackbone(), config=tiny_config(epochs=2), run=RunSettings(cache=None)
    )
    normals = [small_image("good", i) for i in range(14)]
    fit(detector, normals, [small_image("dot", i) for i in range(2)], ["dot", "dot"])
    detector.threshold(max_false_alarm_rate=0.2)
    path = tmp_path_factory.mktemp("model") / "model.ahl"
    detector.save(path)
    return read_tensor_file(path, "model")


def numbers(values, way=()):
    """Ways to the numbers, of a list to its first and its last."""
    if isinstance(values, dict):
        for name in values:
            yield from numbers(values[name], (*way, name))
    elif isinstance(values, list):
        for index in sorted({0, len(values) - 1} if values else ()):
            yield from numbers(values[index], (*way, index))
    elif isinstance(values, int | float) and not isinstance(values, bool):
        yield way


@pytest.mark.parametrize("hostile", HOSTILE, ids=str)
def test_a_hostile_number_is_refused_or_scored_with(contents, tmp_path, hostile):
    header, groups = contents
    path, refused = tmp_path / "hostile.ahl", 0
    ways = list(numbers(header))
    assert len(ways) > 100
    for way in ways:
        changed = copy.deepcopy(header)
        inner = changed
        for step in way[:-1]:
            inner = inner[step]
        inner[way[-1]] = hostile
        write_tensor_file(path, "model", changed, groups)
        try:
            model = TrainedModel.load(path, backbones=[TinyBackbone])
            scorer = TorchScorer(model, torch.device("cpu"))
            (found,) = scorer.predict([small_image("dot", 5)], heat_maps=True, nearest=True)
        except AHLError:
            refused += 1
        else:
            assert found.error if found.score is None else math.isfinite(found.score), way
    assert refused
