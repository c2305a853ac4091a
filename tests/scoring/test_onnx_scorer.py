"""Graphs in ONNX Runtime and OpenVINO: what they say, and those that say something else."""

import json
import resource
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ahl._common.errors import ConfigurationError, ModelFileError
from ahl.scoring.artefact import write_artefact
from ahl.scoring.onnx_scorer import OnnxScorer
from ahl.scoring.opening import open_scorer
from ahl.scoring.scorer import EVIDENCE, HEADS, NORMAL
from commands import run
from small_images import write_class
from tiny_graphs import (
    INDICES,
    OUTPUTS,
    SIDE,
    WIDTHS,
    artefact,
    description,
    graph,
    of,
)


@pytest.fixture(params=["cpu", "openvino"])
def device(request):
    """ONNX Runtime, and OpenVINO."""
    return request.param


@pytest.fixture
def make(tmp_path):
    return partial(artefact, tmp_path / "tiny.onnx")


def grey(*values, side=SIDE):
    return np.stack([np.full((side, side, 3), value, np.uint8) for value in values])


def test_what_the_graph_computes_is_what_is_said(make, device):
    scorer = open_scorer(make(), device=device, threads=1)
    assert isinstance(scorer, OnnxScorer)
    first, second = scorer.score_pixels(grey(7, 200), heat_maps=True, nearest=True)
    assert (first.score, second.score) == (7.0, 200.0)
    assert second.heads == {"seen": 200.0, "residual": 200.0}
    assert second.evidence == {"seen": 200.0, "residual": 200.0, "memory": 200.0}
    np.testing.assert_array_equal(second.heat_map, np.full((SIDE, SIDE), 200.0))
    assert (second.nearest_normal.name, second.nearest_anomaly.name) == ("b.png", "c.png")
    assert second.nearest_normal.picture.shape == (4, 4, 3)
    assert first.nearest_anomaly.place == (7.0, 7.0)
    plain = scorer.score_pixels(grey(7))[0]
    assert (plain.heat_map, plain.nearest_normal, plain.nearest_anomaly) == (None, None, None)


def test_images_are_scored_in_order_whatever_their_number(make, device, tmp_path):
    paths = write_class(tmp_path / "images", "dot", 20)
    paths.insert(5, tmp_path / "gone.png")
    scorer = OnnxScorer(make(), device=device)
    found = list(scorer.predict(paths))
    assert [one.index for one in found] == list(range(21))
    assert [one.index for one in found if one.score is None] == [5]
    for one, path in zip(found, paths, strict=True):
        (alone,) = scorer.predict([path])
        assert one.score == (alone.score and pytest.approx(alone.score, rel=1e-6))


def test_a_model_that_shows_nothing_needs_no_such_outputs(make, device):
    bare = description(shown_normals=(), shown_anomalies=(), evidence=())
    path = make(bare, without=[EVIDENCE, *(name for name in OUTPUTS if "nearest" in name)])
    (found,) = OnnxScorer(path, device=device).score_pixels(grey(3), heat_maps=True, nearest=True)
    assert (found.score, dict(found.evidence), found.nearest_normal) == (3.0, {}, None)


WRONG = {
    "a head too many": ({"widths": WIDTHS | {HEADS: 3}}, "heads of another shape"),
    "little evidence": ({"widths": WIDTHS | {EVIDENCE: 1}}, "evidence of another shape"),
    "small heat map": ({"side": 5}, "heat_map of another shape"),
    "beyond the shown": ({"indices": INDICES | {NORMAL: 2}}, "does not show"),
    "before the shown": ({"indices": INDICES | {NORMAL: -1}}, "does not show"),
    "far beyond": ({"indices": INDICES | {NORMAL: 2**60}}, "does not show"),
    "index as a number": ({"indices": {}}, "as another type"),
    "vector for a number": ({"widths": WIDTHS | {NORMAL: 2}}, "of another shape"),
} | {f"no {name}": ({"without": [name]}, f"has no output {name}") for name in OUTPUTS}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_graph_that_does_not_fit_its_card_is_refused(make, device, wrong):
    hooks, message = WRONG[wrong]
    with pytest.raises(ModelFileError, match=message):
        OnnxScorer(make(**hooks), device=device)


def test_an_index_that_only_some_images_have_is_refused(make, device):
    scorer = OnnxScorer(make(by_image=1.0), device=device)
    assert scorer.score_pixels(grey(0), nearest=True)[0].nearest_normal.name == "b.png"
    with pytest.raises(ModelFileError, match="does not show"):
        scorer.score_pixels(grey(0, 9), nearest=True)


@pytest.mark.parametrize("number", [np.inf, np.nan])
def test_numbers_without_end_are_no_scores(make, device, tmp_path, number):
    (path,) = write_class(tmp_path / "images", "good", 1)
    options = ("--json", "--device", device)
    found = json.loads(run("predict", make(number=number), path, *options, code=3).stdout)
    assert found == {"path": str(path), "error": "the model gives it no finite score"}


def test_images_of_another_size_than_the_graph_takes_are_an_error(make, device):
    with pytest.raises(ModelFileError, match=r"shape|fails"):
        OnnxScorer(make(), device=device).compute(grey(1, side=5)[:, :, :3, :2])


def test_no_graph_of_ours(tmp_path, capfd):
    path = tmp_path / "tiny.onnx"
    two = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "ab"]
    output = helper.make_tensor_value_info("score", TensorProto.FLOAT, [1])
    add = helper.make_graph([helper.make_node("Add", "ab", ["score"])], "add", two, [output])
    odd = helper.make_tensor_value_info("odd", TensorProto.FLOAT, [1])
    node = helper.make_node("Add", ["odd", "odd"], ["score"])
    twice = helper.make_graph([node], "twice", [odd], [output])
    for model, message in (
        (of(add), "not one that `ahl export` wrote"),
        (of(add, description().text()), "does not take images"),
        (graph(), "not one that `ahl export` wrote"),
        (
            of(helper.make_graph([], "empty", [], []), description().text()),
            "not a graph that ONNX Runtime reads",
        ),
        (b"\x08\x09 no protobuf", "is not opened: field 4 of a model"),
        (of(add, "no text").replace(b"no text", b"no t\x81xt"), "its metadata are not text"),
        (of(twice, description().text()).replace(b"odd", b"o\x81d"), "names that are not text"),
    ):
        write_artefact(path, model)
        with pytest.raises(ModelFileError, match=message):
            OnnxScorer(path)
        assert capfd.readouterr() == ("", ""), "ONNX Runtime says nothing of its own"


@pytest.mark.skipif(sys.platform != "linux", reason="held to on Linux")
@pytest.mark.parametrize("when", ["it is opened", "it is tried"])
def test_a_small_file_of_large_tensors_is_refused(when, device, tmp_path):
    """It reserves 1.6 GB, by operators that exports have."""
    model = onnx.load_from_string(graph())
    drawn = model.graph
    for name, values in (("shape", [400_000_000]), ("first", [0])):
        drawn.initializer.append(numpy_helper.from_array(np.array(values), name))
    if when == "it is opened":
        large = [helper.make_node("ConstantOfShape", ["shape"], ["large"])]
    else:
        large = [
            helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMax", ["floats"], ["most"], keepdims=0),
            helper.make_node("Expand", ["most", "shape"], ["large"]),
        ]
    large.append(helper.make_node("ReduceMean", ["large", "first"], ["mean"], keepdims=0))
    (score,) = (node for node in drawn.node if "score" in node.output)
    score.op_type = "Add"
    score.input.append("mean")
    nodes = [*large, *drawn.node]
    del drawn.node[:]
    drawn.node.extend(nodes)
    write_artefact(tmp_path / "a.onnx", of(drawn, description().text()))
    with pytest.raises(ModelFileError):
        OnnxScorer(tmp_path / "a.onnx", device=device, threads=1)
    before = resource.getrlimit(resource.RLIMIT_DATA)
    artefact(tmp_path / "a.onnx")
    assert OnnxScorer(tmp_path / "a.onnx", device=device, threads=1).card.heads
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_a_graph_that_openvino_does_not_read_is_refused(tmp_path):
    path = tmp_path / "tiny.onnx"
    output = helper.make_tensor_value_info("c", TensorProto.FLOAT, [1])
    drawn = helper.make_graph([helper.make_node("Add", ["a", "b"], ["c"])], "a", [], [output])
    write_artefact(path, of(drawn, description().text()))
    with pytest.raises(ModelFileError, match="not a graph that OpenVINO reads"):
        OnnxScorer(path, device="openvino")
    write_artefact(path, graph())
    with pytest.raises(ModelFileError, match="not one that `ahl export` wrote"):
        OnnxScorer(path, device="openvino")


@pytest.mark.parametrize(("device", "module"), [("cpu", "onnxruntime"), ("openvino", "openvino")])
def test_a_runtime_that_is_not_installed_is_named(device, module, make, tmp_path, monkeypatch):
    path = make()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError, match=f"pip install {module}"):
        OnnxScorer(path, device=device)
    refused = run("predict", path, tmp_path, "--device", device, code=2)
    assert "Traceback" not in refused.output


def test_an_artefact_runs_on_the_processor(make):
    with pytest.raises(ConfigurationError, match="cuda"):
        open_scorer(make(), device="cuda")


def test_info_refuses_a_parity_that_is_none(make):
    assert "no readable result of its comparison" in run("info", make(), code=1).output


def test_info_shows_values_on_lines_that_end(make):
    """A file may hold what moves a terminal's cursor, and more than anybody reads."""
    hostile = "\x1b[2J\r" + "x" * 100_000
    parity = {"differences": {hostile: 0.0}, "images": hostile, "auroc": None, "other_side": None}
    described = description(backbone=hostile, classes=(hostile,))
    path = make(replace(described, parity=parity))
    printed = run("info", path).stdout
    assert "\x1b" not in printed
    assert "\N{REPLACEMENT CHARACTER}[2J" in printed
    assert len(printed) < 30_000
    assert json.loads(run("info", path, "--json").stdout)["backbone"] == hostile
