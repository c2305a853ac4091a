"""The examples run, and do what they say."""

import importlib.util
import runpy
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_ahl_in_one_page_finds_kinds_that_it_has_never_seen():
    page = runpy.run_path(str(EXAMPLES / "ahl_in_one_page.py"))
    found = page["main"](seed=0)
    assert found["AHL", "seen"] > 0.9
    assert found["AHL", "unseen"] > 0.85


def test_the_notebook_runs_on_real_images(tmp_path):
    if importlib.util.find_spec("elpv_dataset") is None:
        pytest.skip("elpv-dataset is not installed")
    notebook = nbformat.read(EXAMPLES / "elpv.ipynb", as_version=4)
    short = "preset.learning, epochs=6, averaged_epochs=3"
    for own, less in (
        ("AHL(image_size=128,", f"AHL(config=replace(preset, learning=replace({short})),"),
        ("import ahl\n", 'import ahl\npreset = ahl.preset("default", image_size=128)\n'),
    ):
        assert any(own in cell.source for cell in notebook.cells)
        for cell in notebook.cells:
            cell.source = cell.source.replace(own, less)
    NotebookClient(
        notebook, timeout=500, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    shown = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type != "stream"
    ]
    assert sum("image/png" in output.get("data", {}) for output in shown) == 2
