"""Examples of docstrings run, in a folder that holds what they name."""

import doctest
import importlib
import shutil
from pathlib import Path

import pytest

import ahl
from small_images import write_class

PACKAGE = Path(ahl.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if ">>>" in path.read_text()
)


@pytest.fixture
def folder(tmp_path, monkeypatch, model):
    for place in ("parts/good", "OK"):
        write_class(tmp_path / place, "good", 12)
    for place in ("parts/scratch", "NG"):
        write_class(tmp_path / place, "dot", 3)
    write_class(tmp_path / "parts" / "hole", "bar", 3)
    write_class(tmp_path / "new", "good", 2, first=50)
    for number, path in enumerate(sorted((tmp_path / "new").iterdir()), start=1):
        path.rename(path.with_name(f"{number}.png"))
    for path in (tmp_path / "NG").iterdir():
        path.rename(path.with_name(f"scratch_{path.name}"))
    rows = [f"{path.relative_to(tmp_path)},good,train" for path in (tmp_path / "OK").iterdir()]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label,split", *rows]))
    shutil.copy(model, tmp_path / "parts.ahl")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_run(module, folder):
    found = doctest.testmod(importlib.import_module(module))
    assert found.attempted > 0
    assert found.failed == 0
