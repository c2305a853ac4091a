"""MVTec AD: all categories, some or one, with the split they bring."""

from pathlib import Path

from ahl.benchmark.datasets import find_reader
from ahl.data import draw_split, open_dataset
from raw_trees import mvtec, names, plant

READER = find_reader("mvtec")


def test_every_category_is_a_dataset(tmp_path):
    bottle, carpet = READER.read(plant(tmp_path, mvtec()))
    assert (bottle.name, carpet.name) == ("bottle", "carpet")
    assert carpet.root == tmp_path / "carpet"
    assert names(carpet.train_normals) == [f"train/good/{i:03}.png" for i in range(3)]
    assert names(carpet.test_normals) == ["test/good/000.png", "test/good/001.png"]
    assert carpet.classes == ("cut", "hole")
    assert bottle.classes == ("broken_large",)
    split = draw_split(carpet, anomalies=1)
    assert split.normals == carpet.train_normals
    assert set(carpet.test_normals) < set(split.test)


def test_a_single_category_may_be_named(tmp_path, monkeypatch):
    plant(tmp_path, mvtec())
    (carpet,) = READER.read(tmp_path / "carpet")
    assert carpet == READER.read(tmp_path)[1]
    assert carpet == open_dataset(tmp_path / "carpet")
    monkeypatch.chdir(tmp_path / "carpet")
    assert READER.read(Path())[0].name == "carpet"


def test_foreign_folders_beside_the_categories_are_left_alone(tmp_path):
    plant(tmp_path, {**mvtec(), "license/readme.txt": b"", "half/train/good/0.png": b""})
    assert [dataset.name for dataset in READER.read(tmp_path)] == ["bottle", "carpet"]


def test_masks_are_no_class_wherever_they_lie(tmp_path):
    tree = mvtec()
    (carpet,) = READER.read(plant(tmp_path, tree) / "carpet")
    assert not any("mask" in name for name in names(carpet.anomalies))
