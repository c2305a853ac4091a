"""Model files that are cut, foreign, altered or hostile give a clear error, never a crash."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from ahl import AHL, RunSettings
from ahl._common.errors import ModelFileError
from ahl._common.tensor_file import read_tensor_file, write_tensor_file
from ahl.model.trained import TrainedModel
from hostile_contents import HOSTILE
from small_images import small_image
from tiny import TinyBackbone, fit, tiny_config

quick = settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def model_file(tmp_path_factory) -> Path:
    detector = AHL(
        backbone=TinyBackbone(), config=tiny_config(epochs=2), run=RunSettings(cache=None)
    )
    fit(detector, [small_image("good", i) for i in range(12)], [small_image("dot", 0)])
    path = tmp_path_factory.mktemp("model") / "model.ahl"
    detector.save(path)
    return path


def load(path: Path) -> TrainedModel:
    return TrainedModel.load(path, backbones=[TinyBackbone])


def test_the_file_holds_everything(model_file):
    model = load(model_file)
    assert model.manifest.seen_classes == {"anomaly"}
    assert len(model.manifest.files) == 13
    assert len(model.history) == 2
    assert model.config == tiny_config(epochs=2)
    header, groups = read_tensor_file(model_file, "model")
    assert header["backbone"]["kind"] == "tiny"
    assert set(groups) == {
        "heads",
        "statistics",
        "reference",
        "memory",
        "calibration",
        "backbone",
        "reduction",
        "exemplars",
        "training",
    }


@given(data=st.data())
@quick
def test_a_file_cut_anywhere_is_refused(model_file, tmp_path, data):
    content = model_file.read_bytes()
    cut = tmp_path / "cut.ahl"
    cut.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(ModelFileError):
        load(cut)


@given(data=st.data())
@quick
def test_a_file_with_any_byte_changed_is_refused(model_file, tmp_path, data):
    content = bytearray(model_file.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1) | st.integers(0, 4000))
    content[position] ^= data.draw(st.integers(1, 255))
    changed = tmp_path / "changed.ahl"
    changed.write_bytes(bytes(content))
    with pytest.raises(ModelFileError):
        load(changed)


def test_foreign_files_are_named(tmp_path, model_file):
    save_file({"x": torch.zeros(2)}, tmp_path / "weights.safetensors")
    with pytest.raises(ModelFileError, match="--weights"):
        load(tmp_path / "weights.safetensors")
    (tmp_path / "text.ahl").write_text("hello")
    with pytest.raises(ModelFileError, match="truncated, damaged or another kind"):
        load(tmp_path / "text.ahl")
    with pytest.raises(ModelFileError, match="no model file"):
        load(tmp_path / "missing.ahl")
    with pytest.raises(ModelFileError, match="no model file"):
        load(tmp_path)
    write_tensor_file(tmp_path / "c.ahl", "checkpoint", {}, {"x": {"y": torch.zeros(1)}})
    with pytest.raises(ModelFileError, match="an ahl checkpoint"):
        load(tmp_path / "c.ahl")


def test_what_is_refused_is_told_in_a_line(model_file, tmp_path):
    path = rewritten(model_file, tmp_path / "hostile.ahl", lambda h, _: h.update(prior="x" * 10**4))
    with pytest.raises(ModelFileError, match=r"hostile\.ahl") as caught:
        load(path)
    assert len(str(caught.value)) < 1000


def test_a_pickle_is_refused_and_not_run(tmp_path):
    ran = tmp_path / "ran"

    class Hostile:
        def __reduce__(self):
            return (Path.touch, (ran,))

    (tmp_path / "pickle.ahl").write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(ModelFileError):
        load(tmp_path / "pickle.ahl")
    assert not ran.exists()


def test_a_newer_format_asks_for_an_upgrade(model_file, tmp_path):
    from safetensors import safe_open

    with safe_open(model_file, framework="pt") as file:
        envelope = json.loads(file.metadata()["ahl"]) | {"format": 99}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, tmp_path / "new.ahl", metadata={"ahl": json.dumps(envelope)})
    with pytest.raises(ModelFileError, match="Upgrade ahl"):
        load(tmp_path / "new.ahl")


def rewritten(model_file: Path, path: Path, change) -> Path:
    """A file with other contents and a checksum that fits them: what an attacker would make."""
    header, groups = read_tensor_file(model_file, "model")
    tensors = {f"{name}/{key}": t for name, group in groups.items() for key, t in group.items()}
    change(header, tensors)
    changed: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        group, _, key = name.partition("/")
        changed.setdefault(group, {})[key] = tensor
    write_tensor_file(path, "model", header, changed)
    return path


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_contents_are_refused(model_file, tmp_path, name):
    path = rewritten(model_file, tmp_path / "hostile.ahl", HOSTILE[name])
    with pytest.raises(ModelFileError, match=r"hostile\.ahl"):
        load(path)


def test_an_unknown_backbone_class_must_be_handed_over(model_file):
    with pytest.raises(ModelFileError, match="tiny"):
        TrainedModel.load(model_file)


def test_nothing_half_written_is_left(tmp_path, monkeypatch):
    target = tmp_path / "model.ahl"
    target.write_text("before")

    def fail(path, data):
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(ModelFileError, match="disk full"):
        write_tensor_file(target, "model", {}, {"x": {"y": torch.zeros(1)}})
    assert target.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["model.ahl"]


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_a_model_file_is_as_readable_as_any_other_file(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("x")
    path = tmp_path / "model.ahl"
    write_tensor_file(path, "model", {}, {"x": {"y": torch.zeros(1)}})
    assert path.stat().st_mode == plain.stat().st_mode


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=5),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=5,
        ),
        max_size=4,
    )
)
@quick
def test_headers_round_trip(tmp_path, header):
    tensors = {"b": torch.arange(3), "a/c": torch.from_numpy(np.ones((2, 2), np.float16))}
    groups = {"one": tensors, "none": {}, "two": {"b": torch.zeros(1)}}
    write_tensor_file(tmp_path / "f", "model", header, groups)
    read, back = read_tensor_file(tmp_path / "f", "model")
    assert read == json.loads(json.dumps(header))
    assert set(back) == {"one", "two"}
    assert set(back["one"]) == set(tensors)
    assert all(torch.equal(back["one"][k], v) for k, v in tensors.items())
