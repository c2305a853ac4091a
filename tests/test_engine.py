"""Opening a model for one pass at a time, or for several."""

from pathlib import Path

import pytest

from ahl import engine


@pytest.fixture
def opened(monkeypatch):
    """On a machine of five cores: with how many threads each engine was opened."""
    threads = []
    monkeypatch.setattr(engine.os, "cpu_count", lambda: 5)
    monkeypatch.setattr(engine, "open_engine", lambda path, **given: threads.append(given))
    return threads


@pytest.fixture
def no_export(tmp_path):
    path = tmp_path / "parts.ahl"
    path.write_bytes(b"as far as its beginning tells")
    return path


@pytest.mark.parametrize(
    ("threads", "passes", "each"),
    [
        (None, None, [2, 2]),
        (4, None, [2, 2]),
        (1, None, [1]),
        (None, 1, [None]),
        (3, 1, [3]),
        (2, 3, [1, 1, 1]),
        (None, 3, [1, 1, 1]),
    ],
)
def test_passes_share_the_threads(threads, passes, each, opened, no_export):
    engines = engine.open_engines(no_export, device="cpu", threads=threads, passes=passes)
    assert len(engines) == len(each)
    assert [one["threads"] for one in opened] == each
    assert {one["device"] for one in opened} == {"cpu"}


def test_a_gpu_has_one_pass_unless_more_are_asked_for(opened, monkeypatch, no_export):
    import torch

    from ahl import devices

    monkeypatch.setattr(devices, "resolve_device", lambda device: torch.device("cuda"))
    assert len(engine.open_engines(no_export)) == 1
    assert len(engine.open_engines(no_export, passes=2)) == 2


def test_an_exported_model_is_never_on_a_gpu(opened, monkeypatch):
    monkeypatch.setattr(engine, "format_of", lambda path: "onnx")
    assert len(engine.open_engines(Path("a.onnx"))) == 2
