"""Optical: textures pooled, labels by the table."""

import pytest

from ahl._common.errors import DataError
from ahl.benchmark.datasets import find_reader
from raw_trees import Listener, names, optical, picture, plant

READER = find_reader("optical")
TABLE = "Class1/Train/Label/Labels.txt"


def test_textures_are_pooled(tmp_path):
    (dataset,) = READER.read(plant(tmp_path, optical()))
    assert dataset.classes == ("Class1", "Class10", "Class2")
    assert names(dataset.anomalies) == [
        f"Class{texture}/{part}"
        for texture in (1, 10, 2)
        for part in ("Test/0005.PNG", "Train/0001.PNG")
    ]
    assert len(dataset.train_normals) == 3 * 4
    assert not any("label" in name.lower() for name in names(dataset.train_normals))


def test_missing_textures_are_noted(tmp_path):
    notes = []
    listener = Listener()
    listener.on_note = notes.append
    READER.read(plant(tmp_path, optical()), callback=listener)
    assert notes == [f"{tmp_path} holds 3 of the 10 textures."]


def test_masks_are_not_needed(tmp_path):
    tree = {n: c for n, c in optical().items() if "_label" not in n}
    assert len(READER.read(plant(tmp_path, tree))[0].anomalies) == 6


def test_textures_repeated_by_their_zips(tmp_path):
    tree = {f"{name.split('/')[0]}/{name}": content for name, content in optical().items()}
    (dataset,) = READER.read(plant(tmp_path, tree))
    assert (len(dataset.train_normals), len(dataset.anomalies)) == (12, 6)
    assert dataset.classes == ("Class1", "Class10", "Class2")


def test_images_and_table_that_disagree_are_reported(tmp_path):
    tree = {**optical(), "Class1/Train/0099.PNG": picture(99)}
    del tree["Class2/Test/0006.PNG"]
    listener = Listener()
    (dataset,) = READER.read(plant(tmp_path, tree), callback=listener)
    assert [(one.name, one.reason) for one in listener.skipped] == [
        ("Class1/Train/0099.PNG", "Labels.txt does not name it"),
        ("Class2/Test/0006.png", "Labels.txt names it, but there is no such file"),
    ]
    assert len(dataset.train_normals) == 11


@pytest.mark.parametrize("line", ["2\t7\t0002.PNG\t0\t0", "0002.PNG\t1", "2 x 0002.PNG 0 0"])
def test_a_table_that_makes_no_sense(tmp_path, line):
    tree = {**optical(), TABLE: f"1\r\n1\t1\t0001.PNG\t0\t0\r\n{line}\r\n".encode()}
    with pytest.raises(DataError, match=r"Line 3 of .*Labels\.txt is .*expected the label 0 or 1"):
        READER.read(plant(tmp_path, tree))


def test_a_missing_table(tmp_path):
    tree = optical()
    del tree[TABLE]
    with pytest.raises(DataError, match=r"There is no .*Class1.Train.Label.Labels\.txt"):
        READER.read(plant(tmp_path, tree))
