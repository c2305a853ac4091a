"""Artefacts score like the model, whole or not at all, and say how well they do."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from ahl import AHL, RunSettings
from ahl._common.errors import ConfigurationError, DataError, ModelFileError, ParityError
from ahl.apps.export import export as exporting
from ahl.apps.export.export import export_model
from ahl.apps.export.graph import ScoringGraph
from ahl.apps.export.onnx_model import onnx_model
from ahl.apps.export.torch_program import DESCRIPTION, load_program
from ahl.data import open_dataset
from ahl.scoring.opening import open_scorer
from ahl.scoring.runtime.scorer import OnnxScorer
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
def artefacts(model, traced, tmp_path_factory):
    """One of each format, full precision."""
    folder = tmp_path_factory.mktemp("artefacts")
    files = {name: folder / f"parts.{name}" for name in ("onnx", "openvino", "torch")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "onnx_model", lambda _: onnx.ModelProto.FromString(traced))
        return {
            name: (file, export_model(model, file, format=name).parity)
            for name, file in files.items()
        }


IMAGES = [small_image(kind, 40 + i) for i, kind in enumerate(["good", "dot", "bar", "good", "dot"])]


@pytest.mark.parametrize("format_", ["onnx", "openvino"])
def test_an_artefact_says_what_the_model_says(format_, own, artefacts):
    engine = open_scorer(artefacts[format_][0], threads=1)
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


@pytest.mark.parametrize("format_", ["onnx", "openvino", "torch"])
@pytest.mark.parametrize(
    "size", [(48, 64), (48, 48), (96, 128), (31, 130), (130, 31), (90, 75), (136, 60)]
)
def test_the_graph_takes_batches_of_any_size(format_, size, own, artefacts):
    path, parity = artefacts[format_]
    random = np.random.default_rng(1)
    coarse = np.kron(random.integers(20, 236, (3, 8, 8, 3)), np.ones((1, 17, 17, 1)))
    images = (coarse + random.integers(-20, 20, coarse.shape))[:, : size[0], : size[1]]
    images = images.astype(np.uint8)
    compute = load_program(path) if format_ == "torch" else OnnxScorer(path).compute
    expected = [p.score for p in own.predict(list(images))]
    # ONNX Runtime's own resize rounds a few pixels the other way.
    largest = 0.02 if format_ == "onnx" else 1e-4
    np.testing.assert_allclose(compute(images)["score"], expected, rtol=largest, atol=largest)
    assert max(parity.differences.values()) <= 1e-4
    assert parity.resized <= largest


def test_equal_models_give_equal_files(model, artefacts, tmp_path):
    path, _ = artefacts["onnx"]
    export_model(model, tmp_path / "again.onnx", format="onnx")
    assert (tmp_path / "again.onnx").read_bytes() == path.read_bytes()


def test_an_onnx_artefact_is_a_plain_onnx_file_that_names_no_file_of_ours(artefacts):
    path, parity = artefacts["onnx"]
    loaded = onnx.load(str(path))
    onnx.checker.check_model(loaded, full_check=True)
    (images,) = loaded.graph.input
    assert images.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    written = {entry.key: entry.value for entry in loaded.metadata_props}
    assert json.loads(written["ahl"])["parity"] == json.loads(json.dumps(parity.values()))
    assert str(Path(exporting.__file__).parents[3]).encode() not in path.read_bytes()


def test_a_torch_program_says_what_it_is(artefacts, own):
    with zipfile.ZipFile(artefacts["torch"][0]) as archive:
        (name,) = [one for one in archive.namelist() if one.endswith(DESCRIPTION)]
        described = json.loads(archive.read(name))
    assert described["card"]["sha256"] == own.card.sha256
    with pytest.raises(ModelFileError, match=r"is for torch\.export"):
        open_scorer(artefacts["torch"][0])


@pytest.mark.usefixtures("once")
def test_half_precision_is_smaller_and_nearly_the_same(model, artefacts, tmp_path):
    found = export_model(model, tmp_path / "half.onnx", format="onnx", precision="fp16")
    assert found.size < artefacts["onnx"][0].stat().st_size
    assert 0 < found.parity.differences["score"] <= 0.1
    assert OnnxScorer(tmp_path / "half.onnx").description.precision == "fp16"


@pytest.mark.usefixtures("once")
@pytest.mark.parametrize("format_", ["onnx", "openvino"])
def test_eight_bits_are_judged_by_labelled_images(format_, model, tmp_path, inspection_folder):
    with pytest.raises(DataError, match="--data"):
        export_model(model, tmp_path / "8", format=format_, precision="int8")
    found = export_model(
        model,
        tmp_path / "8",
        format=format_,
        precision="int8",
        data=open_dataset(inspection_folder),
    )
    assert found.parity.labelled == 30
    assert found.parity.drop <= 0.005
    assert found.parity.other_side is not None
    engine = open_scorer(tmp_path / "8")
    assert engine.score_pixels(np.stack(IMAGES))[1].score > 0


@pytest.mark.usefixtures("once")
def test_an_artefact_that_scores_otherwise_is_not_written(model, tmp_path):
    output = tmp_path / "parts.onnx"
    output.write_text("before")
    other = replace(model, calibration=replace(model.calibration, shifts=(0.5,) * 5))
    with pytest.raises(ParityError, match="nothing was written"):
        export_model(other, output, format="onnx")
    assert output.read_text() == "before"
    assert list(tmp_path.iterdir()) == [output]


def test_precisions_that_there_are_not_are_refused(model, tmp_path):
    with pytest.raises(ConfigurationError, match="torch"):
        export_model(model, tmp_path / "x", format="torch", precision="fp16")


def test_it_says_which_package_is_lacking(model, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(ConfigurationError, match=r"ahl\[onnx\]"):
        export_model(model, tmp_path / "x", format="onnx")
    monkeypatch.undo()
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    with pytest.raises(ConfigurationError, match=r"ahl\[openvino\]"):
        export_model(model, tmp_path / "x", format="openvino")
