"""The files of exported models: they come back whole, and nothing else is taken for one."""

import hashlib
import io
import json
import math
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_graphs import description, onnx_artefact

from ahl._common.errors import ModelFileError
from ahl.scoring.runtime.artefact import (
    Description,
    Graph,
    format_of,
    is_like_model_file,
    read_graph,
    write_onnx,
    write_openvino,
)
from ahl.scoring.runtime.scorer import OnnxScorer

MODEL = b"\x08\x09" + bytes(range(40))
"""Begins as an ONNX file does; what follows is for its runtime to judge."""

GRAPH = Graph(format="openvino", data=b"<net/>", weights=bytes(range(9)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("artefacts")
    write_onnx(folder / "a.onnx", MODEL)
    write_openvino(folder / "a.openvino", GRAPH, description())
    return folder


def rewritten(folder, data):
    path = folder / "changed"
    path.write_bytes(data)
    return path


def test_an_onnx_artefact_comes_back(folder):
    path = folder / "a.onnx"
    graph, described = read_graph(path)
    assert (graph.format, graph.weights, described, format_of(path)) == ("onnx", b"", None, "onnx")
    assert graph.data.startswith(MODEL)
    assert path.read_bytes() == graph.data, "the whole file is the ONNX file"
    digest = hashlib.sha256(MODEL).hexdigest().encode()
    assert graph.data.endswith(b"ahl.sha256\x12\x40" + digest)


def test_an_openvino_artefact_comes_back(folder):
    path = folder / "a.openvino"
    graph, described = read_graph(path)
    assert (graph.format, graph.data, graph.weights) == ("openvino", GRAPH.data, GRAPH.weights)
    assert described.text() == description().text()
    assert format_of(path) == "openvino"


def test_equal_artefacts_are_equal_bytes(folder, tmp_path):
    write_onnx(tmp_path / "a.onnx", MODEL)
    write_openvino(tmp_path / "a.openvino", GRAPH, description())
    for name in ("a.onnx", "a.openvino"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


@given(data=st.data())
def test_an_onnx_artefact_with_another_byte_is_refused(folder, data):
    whole = bytearray((folder / "a.onnx").read_bytes())
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ModelFileError, match=r"altered or damaged|truncated"):
        read_graph(rewritten(folder, whole))


@pytest.mark.parametrize("change", [1, 8, 128, 255])
def test_an_openvino_artefact_with_another_byte_is_refused_or_the_same(folder, change):
    """Of a ZIP archive's bytes some say nothing, such as the time that a file was written."""
    whole, refused = (folder / "a.openvino").read_bytes(), 0
    for place in range(len(whole)):
        data = bytearray(whole)
        data[place] ^= change
        try:
            graph, described = read_graph(rewritten(folder, data))
        except ModelFileError:
            refused += 1
        else:
            assert (graph.data, graph.weights) == (GRAPH.data, GRAPH.weights)
            assert described.text() == description().text()
    assert refused > 0.8 * len(whole)


@given(data=st.data())
@pytest.mark.parametrize("name", ["a.onnx", "a.openvino"])
def test_a_part_of_an_artefact_is_refused(folder, name, data):
    whole = (folder / name).read_bytes()
    start, end = data.draw(st.sampled_from([(0, 1), (1, 0)]))
    cut = data.draw(st.integers(1, len(whole)))
    path = rewritten(folder, whole[start * cut : len(whole) - end * cut])
    if format_of(path) == "openvino" or name == "a.onnx":
        with pytest.raises(ModelFileError):
            read_graph(path)


@given(content=st.binary(max_size=200))
@pytest.mark.parametrize("start", [b"", b"PK\x03\x04", b"\x08\x09"])
def test_any_other_bytes_are_refused(folder, start, content):
    with pytest.raises(ModelFileError):
        read_graph(rewritten(folder, start + content))


def archive(members, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as writer:
        for name, content in members:
            writer.writestr(name, content)
    return file.getvalue()


def members(folder):
    with zipfile.ZipFile(folder / "a.openvino") as file:
        return [(name, file.read(name)) for name in file.namelist()]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_of_other_files_is_refused(folder):
    whole = members(folder)
    assert read_graph(rewritten(folder, archive(whole)))[0].data == GRAPH.data
    for others in (
        whole[:-1],
        [*whole, ("evil.py", b"")],
        [*whole, ("model.bin", b"other")],
        [*whole, ("../model.bin", b"other")],
        [(f"folder/{name}", content) for name, content in whole],
        [],
    ):
        path = rewritten(folder, archive(others))
        with pytest.raises(ModelFileError, match=r"no whole OpenVINO artefact|truncated"):
            read_graph(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compressed_archive_is_refused(folder, compression):
    with pytest.raises(ModelFileError, match="compressed"):
        read_graph(rewritten(folder, archive(members(folder), compression)))


@pytest.mark.parametrize("part", ["model.xml", "model.bin"])
def test_an_exchanged_part_is_refused(folder, part):
    exchanged = [(name, b"other" if name == part else data) for name, data in members(folder)]
    with pytest.raises(ModelFileError, match="altered"):
        read_graph(rewritten(folder, archive(exchanged)))


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"sha256": []}', "[" * 100_000])
def test_an_archive_that_does_not_describe_itself_is_refused(folder, text):
    changed = [(n, text.encode() if n == "ahl.json" else data) for n, data in members(folder)]
    with pytest.raises(ModelFileError):
        read_graph(rewritten(folder, archive(changed)))


def leaves(value, path=()):
    """Where in JSON values something stands, containers included."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for key, inner in items:
        found += leaves(inner, (*path, key))
    return found


def exchanged(values, path, hostile):
    inner = values
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = hostile
    return values


HOSTILE = (None, True, -1, 10**400, 1e308, math.nan, -math.inf, "", "é\0\ud800", [], [[]], {}, [9])


@pytest.mark.parametrize("hostile", HOSTILE, ids=repr)
def test_a_description_with_a_hostile_value_is_refused_or_whole(folder, hostile):
    values = json.loads(description().text())
    for path in leaves(values):
        text = json.dumps(exchanged(json.loads(description().text()), path, hostile))
        try:
            read = Description.read(text, folder / "a.onnx")
        except ModelFileError:
            continue
        card = read.card
        assert all(1 <= side <= 4096 for side in card.image_size)
        assert all(isinstance(name, str) for name in (*card.heads, *card.evidence))
        json.dumps(card.facts(), allow_nan=False)
        assert card.probability is None or 0 <= card.probability.of(-1.5) <= 1
        assert card.decision is None or card.decision.verdict(0.5)


def test_a_description_that_is_no_text_is_refused(tmp_path):
    onnx_artefact(tmp_path / "a.onnx")
    data = read_graph(tmp_path / "a.onnx")[0].data
    data = data[: data.rindex(b"ahl.sha256") - 4]
    assert data.count(b'"dra"') == 1
    write_onnx(tmp_path / "b.onnx", data.replace(b'"dra"', b'"\xff\xfea"'))
    with pytest.raises(ModelFileError, match="no text"):
        OnnxScorer(tmp_path / "b.onnx", device="cpu")


def test_another_version_says_to_upgrade(folder):
    text = json.dumps(json.loads(description().text()) | {"version": 2})
    with pytest.raises(ModelFileError, match=r"version 2; .* Upgrade ahl"):
        Description.read(text, folder / "a.onnx")
    with pytest.raises(ModelFileError, match="Upgrade ahl") as caught:
        Description.read(text.replace('"version": 2', f'"version": "{"x" * 9999}"'), folder / "a")
    assert len(str(caught.value)) < 400


def test_kinds_of_files_are_told_by_their_first_bytes(folder):
    safetensors = (123).to_bytes(8, "little") + b'{"a":'
    for content, kind, like_model in (
        (safetensors, None, True),
        (b"\x08" + safetensors[1:], None, True),
        (b"a text", None, False),
        (b"", None, False),
        (b"\x08\x09", "onnx", False),
        (b"PK\x03\x04", "openvino", False),
    ):
        path = rewritten(folder, content)
        assert (format_of(path), is_like_model_file(path)) == (kind, like_model), content


def test_a_file_that_cannot_be_read_or_written_is_named(tmp_path):
    for read in (read_graph, format_of, is_like_model_file):
        with pytest.raises(ModelFileError, match=r"gone\.onnx cannot be read"):
            read(tmp_path / "gone.onnx")
    (tmp_path / "file").touch()
    with pytest.raises(ModelFileError, match="cannot be written"):
        write_onnx(tmp_path / "file" / "a.onnx", MODEL)
