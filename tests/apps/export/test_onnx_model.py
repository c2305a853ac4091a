"""The graph that is exported computes what scoring does, all images at once."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from ahl import AHL, RunSettings
from ahl._common.errors import DataError
from ahl.apps.export.onnx_model import ScoringGraph
from ahl.config import MemoryConfig, VectorConfig
from ahl.features.extractor import bounded_scales
from ahl.scoring.torch_scorer import TorchScorer
from small_images import small_image
from tiny import TinyBackbone, fit, tiny_config


def trained(base="dra", **changes):
    config = replace(tiny_config(epochs=2), **changes)
    detector = AHL(heads=base, backbone=TinyBackbone(), config=config, run=RunSettings(cache=None))
    normals = [small_image("good", i) for i in range(14)]
    return fit(detector, normals, [small_image("dot", i) for i in range(3)], ["dot"] * 3).model_


PLAIN = {
    "memory": MemoryConfig(patches=0),
    "vectors": VectorConfig(components=0),
    "calibration": replace(tiny_config().calibration, folds=0),
}


@pytest.mark.parametrize(("base", "changes"), [("dra", {}), ("devnet", {}), ("dra", PLAIN)])
def test_it_gives_what_scoring_gives(base, changes):
    model = trained(base, **changes)
    scorer = TorchScorer(model, torch.device("cpu"))
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (5, 48, 48, 3), dtype=np.uint8)
    pixels[3:] = [
        np.asarray(Image.fromarray(small_image("dot", i)).resize((48, 48))) for i in (0, 9)
    ]
    expected = scorer.compute(pixels, heat_maps=True, nearest=True)
    graph = ScoringGraph(model)
    with torch.no_grad():
        found = graph(torch.from_numpy(pixels))
    assert graph.outputs == tuple(found) == tuple(expected)
    assert ("evidence" in found) == (model.calibration is not None)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name].numpy(), values, rtol=1e-4, atol=1e-4)


class Loud(TinyBackbone):
    """Its features lie beyond half precision, both ways."""

    def forward(self, images):
        maps = super().forward(images)
        return (maps - maps.mean()) * 1e9


def test_what_is_too_large_for_half_precision_becomes_its_largest():
    images = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    for scale in bounded_scales(Loud(), images):
        assert scale.aminmax() == (-65504.0, 65504.0)


def test_the_graph_bounds_features_as_scoring_does():
    model = replace(trained(), backbone=Loud())
    pixels = small_image("dot", 3)[None]
    expected = TorchScorer(model, torch.device("cpu")).compute(pixels)["score"]
    with torch.no_grad():
        found = ScoringGraph(model)(torch.from_numpy(pixels))["score"].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_model_of_feature_maps_has_nothing_to_export():
    detector = AHL(config=tiny_config(epochs=1))
    random = np.random.default_rng(0)
    normals, anomalies, pseudo = (random.normal(i, 1, (12, 6, 4, 4)) for i in range(3))
    detector.fit_features((normals,), (anomalies[:2],), pseudo=[(pseudo,)])
    with pytest.raises(DataError, match="no backbone"):
        ScoringGraph(detector.model_)
