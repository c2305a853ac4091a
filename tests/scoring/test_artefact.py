"""The files of exported models: they come back whole, and nothing else is taken for one."""

import hashlib
import json
import math
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahl._common.errors import ModelFileError
from ahl.scoring.artefact import (
    Description,
    is_exported,
    is_like_model_file,
    read_artefact,
    write_artefact,
)
from ahl.scoring.onnx_scorer import OnnxScorer
from ahl.scoring.opening import open_scorer
from tiny_graphs import artefact, description

MODEL = b"\x08\x09" + bytes(range(40))
"""Begins as an ONNX file does; what follows is for its runtime to judge."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("artefacts")
    write_artefact(folder / "a.onnx", MODEL)
    return folder


def rewritten(folder, data):
    path = folder / "changed"
    path.write_bytes(data)
    return path


def test_an_artefact_comes_back(folder):
    path = folder / "a.onnx"
    data = read_artefact(path)
    assert is_exported(path)
    assert data.startswith(MODEL)
    assert path.read_bytes() == data, "the whole file is the ONNX file"
    digest = hashlib.sha256(MODEL).hexdigest().encode()
    assert data.endswith(b"ahl.sha256\x12\x40" + digest)


def test_equal_artefacts_are_equal_bytes(folder, tmp_path):
    write_artefact(tmp_path / "a.onnx", MODEL)
    assert (tmp_path / "a.onnx").read_bytes() == (folder / "a.onnx").read_bytes()


@given(data=st.data())
def test_an_artefact_with_another_byte_is_refused(folder, data):
    whole = bytearray((folder / "a.onnx").read_bytes())
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ModelFileError, match=r"altered or damaged|truncated"):
        read_artefact(rewritten(folder, whole))


@given(data=st.data())
def test_a_part_of_an_artefact_is_refused(folder, data):
    whole = (folder / "a.onnx").read_bytes()
    start, end = data.draw(st.sampled_from([(0, 1), (1, 0)]))
    cut = data.draw(st.integers(1, len(whole)))
    with pytest.raises(ModelFileError):
        read_artefact(rewritten(folder, whole[start * cut : len(whole) - end * cut]))


@given(content=st.binary(max_size=200))
@pytest.mark.parametrize("start", [b"", b"PK\x03\x04", b"\x08\x09"])
def test_any_other_bytes_are_refused(folder, start, content):
    with pytest.raises(ModelFileError):
        read_artefact(rewritten(folder, start + content))


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
    artefact(tmp_path / "a.onnx")
    data = read_artefact(tmp_path / "a.onnx")
    data = data[: data.rindex(b"ahl.sha256") - 4]
    assert data.count(b'"dra"') == 1
    write_artefact(tmp_path / "b.onnx", data.replace(b'"dra"', b'"\xff\xfea"'))
    with pytest.raises(ModelFileError, match="not text"):
        OnnxScorer(tmp_path / "b.onnx", device="cpu")


def test_another_version_says_to_upgrade(folder):
    for version in (1, 4):
        text = json.dumps(json.loads(description().text()) | {"version": version})
        expected = rf"version {version}; .* Upgrade ahl, or export the model again"
        with pytest.raises(ModelFileError, match=expected):
            Description.read(text, folder / "a.onnx")
    with pytest.raises(ModelFileError, match="Upgrade ahl") as caught:
        Description.read(text.replace('"version": 4', f'"version": "{"x" * 9999}"'), folder / "a")
    assert len(str(caught.value)) < 400


def test_kinds_of_files_are_told_by_their_first_bytes(folder):
    safetensors = (123).to_bytes(8, "little") + b'{"a":'
    for content, exported, like_model in (
        (safetensors, False, True),
        (b"\x08" + safetensors[1:], False, True),
        (b"a text", False, False),
        (b"", False, False),
        (b"\x08\x09", True, False),
        (b"PK\x03\x04", True, False),
    ):
        path = rewritten(folder, content)
        assert (is_exported(path), is_like_model_file(path)) == (exported, like_model), content


def test_a_file_that_cannot_be_read_or_written_is_named(tmp_path):
    for read in (read_artefact, is_exported, is_like_model_file):
        with pytest.raises(ModelFileError, match=r"gone\.onnx cannot be read"):
            read(tmp_path / "gone.onnx")
    (tmp_path / "file").touch()
    with pytest.raises(ModelFileError, match="cannot be written"):
        write_artefact(tmp_path / "file" / "a.onnx", MODEL)


def test_an_archive_of_an_earlier_version_is_refused_in_a_sentence(tmp_path):
    with zipfile.ZipFile(tmp_path / "parts.ov", "w") as file:
        file.writestr("model.xml", "<net/>")
    with pytest.raises(ModelFileError, match=r"earlier versions of ahl .*export the model again"):
        open_scorer(tmp_path / "parts.ov")
