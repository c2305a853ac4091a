"""Opening a model for one pass at a time, or for several."""

import pytest
import torch

from ahl._common import devices
from ahl._common.errors import ConfigurationError
from ahl.scoring import opening


@pytest.fixture(params=[False, True])
def path(request, monkeypatch, tmp_path):
    """A model file, and an exported one."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 5)
    monkeypatch.setattr(opening, "usable_cores", lambda: 5)
    monkeypatch.setattr(opening, "is_exported", lambda _: request.param)
    return tmp_path / "model"


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
def test_passes_share_the_threads(threads, passes, each, path):
    assert opening.threads_of_passes(path, device="cpu", threads=threads, passes=passes) == each


def test_more_passes_than_threads_are_refused(path):
    with pytest.raises(ConfigurationError, match=r"3 passes .* 2 threads; give --passes 2"):
        opening.threads_of_passes(path, threads=2, passes=3)


def test_on_a_gpu_a_model_file_has_one_pass_unless_more_are_asked_for(monkeypatch, path):
    monkeypatch.setattr(devices, "resolve_device", lambda _: torch.device("cuda"))
    exported = opening.is_exported(path)
    assert len(opening.threads_of_passes(path)) == (2 if exported else 1)
    assert len(opening.threads_of_passes(path, passes=2)) == 2


def test_a_model_file_does_not_run_in_openvino(tmp_path):
    path = tmp_path / "parts.ahl"
    path.write_bytes((123).to_bytes(8, "little") + b'{"a":')
    with pytest.raises(ConfigurationError, match="for OpenVINO, export it first"):
        opening.open_scorer(path, device="openvino")
