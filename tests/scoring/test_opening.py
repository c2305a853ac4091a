"""Opening a model for one pass at a time, or for several."""

from types import SimpleNamespace

import pytest
import torch

from ahl._common import devices
from ahl._common.errors import ConfigurationError, ModelFileError
from ahl.scoring import opening


@pytest.fixture
def opened(monkeypatch):
    """How each scorer was opened, where torch and exported models take five threads."""
    given = []

    def open_scorer(path, *, device, threads):
        given.append((device, threads))
        return SimpleNamespace(card=SimpleNamespace(sha256=path.read_text()))

    monkeypatch.setattr(torch, "get_num_threads", lambda: 5)
    monkeypatch.setattr(opening, "usable_cores", lambda: 5)
    monkeypatch.setattr(opening, "open_scorer", open_scorer)
    return given


@pytest.fixture(params=[False, True])
def path(request, monkeypatch, tmp_path):
    """A model file, and an exported one."""
    monkeypatch.setattr(opening, "is_exported", lambda _: request.param)
    path = tmp_path / "model"
    path.write_text("contents")
    return path


@pytest.mark.parametrize(
    ("threads", "passes", "each"),
    [
        (None, None, [3, 2]),
        (4, None, [2, 2]),
        (1, None, [1]),
        (None, 1, [None]),
        (3, 1, [3]),
        (3, 3, [1, 1, 1]),
        (None, 4, [2, 1, 1, 1]),
    ],
)
def test_passes_share_the_threads(threads, passes, each, opened, path):
    scorers = opening.open_scorers(path, device="cpu", threads=threads, passes=passes)
    assert len(scorers) == len(each)
    assert opened == [("cpu", number) for number in each]


def test_more_passes_than_threads_are_refused(opened, path):
    with pytest.raises(ConfigurationError, match=r"3 passes .* 2 threads; ask for --passes 2"):
        opening.open_scorers(path, threads=2, passes=3)
    assert opened == []


def test_on_a_gpu_a_model_file_has_one_pass_unless_more_are_asked_for(opened, monkeypatch, path):
    monkeypatch.setattr(devices, "resolve_device", lambda _: torch.device("cuda"))
    exported = opening.is_exported(path)
    assert len(opening.open_scorers(path)) == (2 if exported else 1)
    assert len(opening.open_scorers(path, passes=2)) == 2


def test_a_file_that_is_replaced_meanwhile_is_not_opened_half(opened, monkeypatch, path):
    given = opening.open_scorer

    def replacing(path, **arguments):
        found = given(path, **arguments)
        path.write_text("other contents")
        return found

    monkeypatch.setattr(opening, "open_scorer", replacing)
    with pytest.raises(ModelFileError, match="replaced while it was opened"):
        opening.open_scorers(path)


def test_a_model_file_does_not_run_in_openvino(tmp_path):
    path = tmp_path / "parts.ahl"
    path.write_bytes((123).to_bytes(8, "little") + b'{"a":')
    for open_it in (opening.open_scorer, opening.open_scorers):
        with pytest.raises(ConfigurationError, match="OpenVINO takes what `ahl export` makes"):
            open_it(path, device="openvino")
