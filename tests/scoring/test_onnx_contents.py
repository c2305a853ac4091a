"""Files that name other files, loop, or declare more than they hold are refused unopened."""

import numpy as np
import onnx
import openvino
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from ahl._common.errors import ModelFileError
from ahl.scoring import onnx_contents
from ahl.scoring.artefact import write_artefact
from ahl.scoring.onnx_contents import ForeignContentError, check_contents
from ahl.scoring.onnx_scorer import OnnxScorer, OpenVinoSession
from tiny_graphs import artefact, description, graph, of

SECRET = b"a token of 16 B!"


def model():
    return onnx.load_from_string(graph())


def outside(name="constant1"):
    """A number as a tensor whose content is the beginning of the file `secret`."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="secret")
    tensor.external_data.add(key="length", value="4")
    return tensor


def constant(**attribute):
    node = helper.make_node("Constant", [], ["more"])
    node.attribute.append(AttributeProto(name="value", **attribute))
    return node


def body(*nodes):
    return helper.make_graph([*nodes, constant(t=outside())], "inner", [], [])


def holding(kind, **attribute):
    node = helper.make_node(kind, [], ["more"])
    node.attribute.append(AttributeProto(name="body", **attribute))
    return node


def sparse():
    return onnx.SparseTensorProto(values=outside(), indices=outside(), dims=[1])


def location(tensor):
    tensor.data_location = TensorProto.EXTERNAL


ALIEN = {
    "initializer": lambda m: m.graph.initializer[1].CopyFrom(outside()),
    "location alone": lambda m: location(m.graph.initializer[1]),
    "names alone": lambda m: m.graph.initializer[1].external_data.add(key="location", value="x"),
    "constant": lambda m: m.graph.node.append(constant(t=outside())),
    "constants": lambda m: m.graph.node.append(constant(tensors=[outside()])),
    "sparse initializer": lambda m: m.graph.sparse_initializer.append(sparse()),
    "sparse constant": lambda m: m.graph.node.append(constant(sparse_tensor=sparse())),
    "sparse constants": lambda m: m.graph.node.append(constant(sparse_tensors=[sparse()])),
    "graph": lambda m: m.graph.node.append(holding("Add", g=body())),
    "graphs": lambda m: m.graph.node.append(holding("Add", graphs=[body()])),
    "type": lambda m: m.graph.node.append(holding("Add", tp=onnx.TypeProto())),
    "function": lambda m: m.functions.add(name="f").node.append(constant(t=outside())),
    "training": lambda m: m.training_info.add().algorithm.CopyFrom(body()),
    "if": lambda m: m.graph.node.append(helper.make_node("If", [], ["more"])),
    "loop": lambda m: m.graph.node.append(helper.make_node("Loop", [], ["more"])),
    "scan": lambda m: m.graph.node.append(helper.make_node("Scan", [], ["more"])),
    "no operator": lambda m: m.graph.node.add(),
    "other domain": lambda m: m.graph.node.append(helper.make_node("Add", [], [], domain="x.y")),
    "context": lambda m: m.graph.node.append(
        helper.make_node("EPContext", [], [], domain="com.microsoft")
    ),
    "overload": lambda m: setattr(m.graph.node[0], "overload", "f"),
    "words": lambda m: m.graph.initializer.append(helper.make_tensor("w", 8, [1], [b"word"])),
    "size": lambda m: m.graph.initializer[1].dims.extend([2**31, 2**31]),
    "size beyond numbers": lambda m: m.graph.initializer[1].dims.extend([2**62] * 9),
    "many dimensions": lambda m: m.graph.initializer[1].dims.extend([1] * 17),
    "negative size": lambda m: m.graph.initializer[1].dims.append(-1),
    "twice a number": lambda m: m.graph.initializer[1].float_data.append(1),
    "sequence": lambda m: m.graph.input[0].type.CopyFrom(
        helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, [1]))
    ),
}


@pytest.mark.parametrize("device", ["cpu", "openvino"])
@pytest.mark.parametrize("alien", ALIEN)
def test_what_no_export_holds_is_refused(alien, device, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_bytes(SECRET)
    changed = model()
    ALIEN[alien](changed)
    helper.set_model_props(changed, {"ahl": description().text()})
    write_artefact(tmp_path / "a.onnx", changed.SerializeToString())
    with pytest.raises(ModelFileError, match=r"a\.onnx is not opened: it.*Export the model again"):
        OnnxScorer(tmp_path / "a.onnx", device=device)


def test_a_whole_artefact_is_let_through(tmp_path):
    check_contents(artefact(tmp_path / "a.onnx").read_bytes())


@pytest.mark.parametrize("kind", ["f4", "f8", "f2", "u1", "i1", "i4", "i8", "?"])
@pytest.mark.parametrize("shape", [(), (0,), (3, 2)])
def test_numbers_are_counted_however_they_are_held(kind, shape):
    """As bytes, and in the typed fields, whose integers have varying length."""
    values = np.full(shape, 1, kind) if kind == "?" else np.full(shape, 100, kind)
    raw = numpy_helper.from_array(values, "a")
    typed = helper.make_tensor("a", raw.data_type, shape, values.ravel().tolist())
    for tensor in (raw, typed):
        changed = model()
        changed.graph.initializer.append(tensor)
        check_contents(changed.SerializeToString())
        changed.graph.initializer[-1].dims.append(2 if values.size else 0)
        if values.size:
            with pytest.raises(ForeignContentError, match="another size than it holds"):
                check_contents(changed.SerializeToString())


OFFICIAL = {
    "model": onnx.ModelProto,
    "opset": onnx.OperatorSetIdProto,
    "entry": onnx.StringStringEntryProto,
    "graph": onnx.GraphProto,
    "node": onnx.NodeProto,
    "attribute": onnx.AttributeProto,
    "tensor": onnx.TensorProto,
    "value": onnx.ValueInfoProto,
    "type": onnx.TypeProto,
    "tensor type": onnx.TypeProto.Tensor,
    "shape": onnx.TensorShapeProto,
    "dimension": onnx.TensorShapeProto.Dimension,
}
WIRE = {"int": {3, 5, 14}, "float": {2}, "bytes": {9, 12}}  # by FieldDescriptor.TYPE_*


@pytest.mark.parametrize("message", OFFICIAL)
def test_the_table_is_that_of_the_official_definition(message):
    by_number = OFFICIAL[message].DESCRIPTOR.fields_by_number
    for number, kind in onnx_contents._MESSAGES[message].items():
        field, inner = by_number[number], kind.removeprefix("*")
        packed = field.is_repeated and field.has_options and field.GetOptions().packed
        assert kind.startswith("*") == (field.is_repeated and not packed), field.name
        if field.message_type is not None:
            assert OFFICIAL[inner].DESCRIPTOR.full_name == field.message_type.full_name
        else:
            assert packed or field.type in WIRE[inner], field.name
            assert not packed or inner == "bytes", field.name


def test_all_that_a_tool_may_write_besides_is_named():
    for (message, number), _ in onnx_contents._FOREIGN.items():
        assert number in OFFICIAL[message].DESCRIPTOR.fields_by_number
        assert number not in onnx_contents._MESSAGES[message]


@given(content=st.binary(max_size=60))
def test_any_bytes_are_let_through_or_refused_in_a_sentence(content):
    try:
        check_contents(content)
    except ForeignContentError as error:
        assert len(str(error)) < 200  # noqa: PT017 - it may or may not be raised


@given(data=st.data())
def test_a_changed_file_is_let_through_or_refused_in_a_sentence(data):
    whole = bytearray(graph())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        check_contents(bytes(whole))
    except ForeignContentError as error:
        assert len(str(error)) < 200  # noqa: PT017 - it may or may not be raised


def test_fields_that_stand_twice_are_refused():
    """Protobuf puts two messages of a singular field together: two halves of a tensor, say."""
    whole = model()
    with pytest.raises(ForeignContentError, match="field 7 of a model twice"):
        check_contents(onnx.ModelProto(graph=whole.graph).SerializeToString() * 2)


def test_many_small_fields_take_no_time(monkeypatch):
    monkeypatch.setattr(onnx_contents, "_MOST_FIELDS", 100)
    check_contents(b"\x72\x00" * 100)
    with pytest.raises(ForeignContentError, match="more than 100 fields"):
        check_contents(b"\x72\x00" * 101)


def test_openvino_takes_no_other_format(tmp_path):
    """Its own XML names a file of weights."""
    value = helper.make_tensor_value_info("a", TensorProto.FLOAT, [1])
    other = helper.make_tensor_value_info("b", TensorProto.FLOAT, [1])
    drawn = helper.make_graph([helper.make_node("Relu", ["a"], ["b"])], "g", [value], [other])
    core, path = openvino.Core(), tmp_path / "a.xml"
    openvino.save_model(core.read_model(of(drawn)), path)
    assert len(core.read_model(path.read_bytes()).inputs) == 1
    assert OpenVinoSession(of(drawn), 1).inputs == 1
    with pytest.raises(RuntimeError, match="onnx"):
        OpenVinoSession(path.read_bytes(), 1)
