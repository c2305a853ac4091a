"""Artefacts score like the model, whole or not at all, and say how well they do."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import torch
from PIL import Image

from ahl import AHL, RunSettings
from ahl._common.errors import ConfigurationError, DataError, ParityError
from ahl.apps import export as exporting
from ahl.apps.export import export_model
from ahl.apps.export.onnx_model import ScoringGraph, onnx_model
from ahl.data import open_dataset
from ahl.scoring.onnx_scorer import OnnxScorer
from ahl.scoring.opening import open_scorer
from ahl.scoring.torch_scorer import TorchScorer
from small_images import small_image
from tiny import TinyBackbone, fit, tiny_config


@pytest.fixture(scope="module")
def model():
    detector = AHL(
        backbone=TinyBackbone(),
        config=tiny_config(epochs=3).with_image_size((48, 64)),
        run=RunSettings(cache=None),
    )
    normals = [small_image("good", i) for i in range(24)]
    fit(detector, normals, [small_image("dot", i) for i in range(3)], ["dot"] * 3)
    detector.threshold(max_false_alarm_rate=0.2)
    return detector.model_


@pytest.fixture(scope="module")
def own(model):
    return TorchScorer(model, torch.device("cpu"))


@pytest.fixture(scope="module")
def traced(model):
    """The model's ONNX graph: tracing is what takes the time."""
    return onnx_model(ScoringGraph(model)).SerializeToString()


@pytest.fixture
def once(traced, monkeypatch):
    """Exports that take the graph that was traced before."""
    monkeypatch.setattr(exporting, "onnx_model", lambda _: onnx.ModelProto.FromString(traced))


@pytest.fixture(scope="module")
def artefact(model, traced, tmp_path_factory):
    """The file in single precision, and what was compared."""
    file = tmp_path_factory.mktemp("artefacts") / "parts.onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "onnx_model", lambda _: onnx.ModelProto.FromString(traced))
        return file, export_model(model, file).parity


DEVICES = pytest.mark.parametrize("device", ["cpu", "openvino"])
"""ONNX Runtime, and OpenVINO."""

IMAGES = [small_image(kind, 40 + i) for i, kind in enumerate(["good", "dot", "bar", "good", "dot"])]


@DEVICES
def test_an_artefact_says_what_the_model_says(device, own, artefact):
    engine = open_scorer(artefact[0], device=device, threads=1)
    assert engine.card == own.card
    pairs = zip(
        engine.predict(IMAGES, heat_maps=True, nearest=True),
        own.predict(IMAGES, heat_maps=True, nearest=True),
        strict=True,
    )
    for found, expected in pairs:
        assert found.score == pytest.approx(expected.score, rel=1e-4, abs=1e-4)
        assert found.heads == pytest.approx(dict(expected.heads), rel=1e-4, abs=1e-4)
        assert found.evidence == pytest.approx(dict(expected.evidence), rel=1e-4, abs=1e-4)
        assert found.probability == pytest.approx(expected.probability, abs=1e-4)
        assert (found.verdict, found.anomalous) == (expected.verdict, expected.anomalous)
        np.testing.assert_allclose(found.heat_map, expected.heat_map, rtol=1e-3, atol=1e-3)
        for near, wanted in (
            (found.nearest_normal, expected.nearest_normal),
            (found.nearest_anomaly, expected.nearest_anomaly),
        ):
            assert near.name == wanted.name
            assert near.place == wanted.place
            np.testing.assert_array_equal(near.picture, wanted.picture)


def images_of(size):
    random = np.random.default_rng(1)
    coarse = np.kron(random.integers(20, 236, (3, 8, 8, 3)), np.ones((1, 17, 17, 1)))
    images = (coarse + random.integers(-20, 20, coarse.shape))[:, : size[0], : size[1]]
    return images.astype(np.uint8)


@DEVICES
@pytest.mark.parametrize(
    "size", [(48, 64), (48, 48), (96, 128), (31, 130), (130, 31), (90, 75), (136, 60)]
)
def test_images_of_any_size_have_the_models_scores(device, size, own, artefact):
    path, parity = artefact
    images = list(images_of(size))
    found = [p.score for p in OnnxScorer(path, device=device).predict(images)]
    expected = [p.score for p in own.predict(images)]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert max(parity.differences.values()) <= 1e-4


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_the_file_alone_gives_the_models_scores(runtime, own, artefact):
    """As docs/export.md has it for programs without ahl."""
    images = images_of((90, 75))
    if runtime == "onnxruntime":
        session = onnxruntime.InferenceSession(artefact[0])
        height, width = session.get_inputs()[0].shape[1:3]
    else:
        settings = {"INFERENCE_PRECISION_HINT": "f32"}
        compiled = openvino.Core().compile_model(artefact[0], "CPU", settings)
        height, width = (side.get_length() for side in list(compiled.input(0).partial_shape)[1:3])
    resized = []
    for image in map(Image.fromarray, images):
        narrow = image.resize((width, image.height), Image.Resampling.BILINEAR)
        resized.append(np.asarray(narrow.resize((width, height), Image.Resampling.BILINEAR)))
    given = np.stack(resized)
    if runtime == "onnxruntime":
        (found,) = session.run(["score"], {"images": given})
    else:
        found = compiled(given)["score"]
    expected = [p.score for p in own.predict(list(images))]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_equal_models_give_equal_files(model, artefact, tmp_path):
    path, _ = artefact
    export_model(model, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == path.read_bytes()


def test_an_onnx_artefact_is_a_plain_onnx_file_that_names_no_file_of_ours(artefact):
    path, parity = artefact
    loaded = onnx.load(str(path))
    onnx.checker.check_model(loaded, full_check=True)
    (images,) = loaded.graph.input
    assert images.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    written = {entry.key: entry.value for entry in loaded.metadata_props}
    assert json.loads(written["ahl"])["parity"] == json.loads(json.dumps(parity.values()))
    assert str(Path(exporting.__file__).parents[3]).encode() not in path.read_bytes()


@pytest.mark.usefixtures("once")
def test_eight_bits_are_judged_by_labelled_images(model, artefact, tmp_path, inspection_folder):
    with pytest.raises(DataError, match="--data"):
        export_model(model, tmp_path / "8", int8=True)
    data = open_dataset(inspection_folder)
    found = export_model(model, tmp_path / "8", int8=True, data=data)
    assert found.parity.labelled == 30
    assert found.parity.drop <= 0.005
    assert found.parity.other_side is not None
    whole = OnnxScorer(artefact[0])
    for device in ("cpu", "openvino"):
        scorer = OnnxScorer(tmp_path / "8", device=device)
        assert scorer.description.precision == "int8"
        (score,) = (one.score for one in scorer.predict(IMAGES[1:2]))
        (expected,) = (one.score for one in whole.predict(IMAGES[1:2]))
        assert score > 0
        assert 0 < abs(score - expected) < 1


@pytest.mark.usefixtures("once")
def test_an_artefact_that_scores_otherwise_is_not_written(model, tmp_path):
    output = tmp_path / "parts.onnx"
    output.write_text("before")
    other = replace(model, calibration=replace(model.calibration, shifts=(0.5,) * 5))
    with pytest.raises(ParityError, match="nothing was written"):
        export_model(other, output)
    assert output.read_text() == "before"
    assert list(tmp_path.iterdir()) == [output]


def test_it_says_which_package_is_lacking(model, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(ConfigurationError, match=r"ahl\[onnx\]"):
        export_model(model, tmp_path / "x")
