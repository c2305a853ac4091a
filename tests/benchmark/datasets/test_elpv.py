"""ELPV: the table of labels, and the installed package."""

import importlib.util
import sys
from pathlib import Path

import pytest

from ahl._common.errors import DataError
from ahl.benchmark.datasets import find_reader
from raw_trees import Listener, elpv, names, plant

READER = find_reader("elpv")


def read_table(tmp_path, table):
    return READER.read(plant(tmp_path, {**elpv(), "labels.csv": table}))


def test_only_certain_cells_count(tmp_path):
    (dataset,) = READER.read(plant(tmp_path, elpv()))
    assert names(dataset.train_normals) == [f"images/cell000{i}.png" for i in (1, 5, 7)]
    assert [(s.name, s.class_name) for s in dataset.anomalies] == [
        ("images/cell0002.png", "poly"),
        ("images/cell0004.png", "mono"),
        ("images/cell0008.png", "poly"),
    ]


def test_missing_images_are_reported(tmp_path):
    tree = elpv()
    del tree["images/cell0001.png"], tree["images/cell0003.png"]
    listener = Listener()
    (dataset,) = READER.read(plant(tmp_path, tree), callback=listener)
    assert [one.name for one in listener.skipped] == ["images/cell0001.png"], "0003 is unused"
    assert len(dataset.train_normals) == 2


def test_spellings_of_the_table(tmp_path):
    table = b"\xef\xbb\xbfimages\\cell0001.png\t0\tMono\r\n\r\n./images/CELL0002.png 1 poly"
    (dataset,) = read_table(tmp_path, table)
    assert names(dataset.train_normals + dataset.anomalies) == [
        "images/cell0001.png",
        "images/cell0002.png",
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"images/cell0002.png 1.0",
        b"images/cell0002.png 1.0 mono x",
        b"images/cell0002.png maybe mono",
        b"images/cell0002.png nan mono",
        b"images/cell0002.png 1.5 mono",
        b"images/cell0002.png 1.0 thin",
        b"images/cell0001.png 1.0 mono",
        b"\xff\x00\xfe",
    ],
)
def test_a_table_that_makes_no_sense(tmp_path, line):
    with pytest.raises(DataError, match=r"Line 3 of .*labels\.csv (is|names)"):
        read_table(tmp_path, b"images/cell0001.png 0.0 mono\n\n" + line + b"\n")


def test_paths_cannot_leave_the_folder(tmp_path):
    plant(tmp_path / "outside", {"a.png": elpv()["images/cell0001.png"]})
    table = b"images/cell0001.png 0 mono\n../outside/a.png 0 mono\nimages/cell0002.png 1 mono\n"
    listener = Listener()
    root = plant(tmp_path / "data", {**elpv(), "labels.csv": table})
    (dataset,) = READER.read(root, callback=listener)
    assert [one.name for one in listener.skipped] == ["../outside/a.png"]
    assert len(dataset.train_normals) == 1


def test_the_package_may_be_missing(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(DataError, match=r'pip install "ahl\[elpv\]"'):
        READER.read()


@pytest.mark.skipif(
    importlib.util.find_spec("elpv_dataset") is None, reason="elpv-dataset is not installed"
)
def test_the_real_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (dataset,) = READER.read(Path("package"))
    assert dataset == READER.read()[0]
    assert len(dataset.train_normals) == 1508
    assert len(dataset.anomalies) == 715
    assert dataset.classes == ("mono", "poly")
    assert "elpv_dataset" not in sys.modules
