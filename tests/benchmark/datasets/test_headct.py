"""HeadCT: the table of labels and the numbers that images are called."""

from pathlib import Path

import pytest

from ahl._common.errors import DataError
from ahl.benchmark.datasets import find_reader
from raw_trees import Listener, headct, names, picture, plant

READER = find_reader("headct")
SHARED = Path(__file__).parents[4] / "shared" / "data" / "headct"


def read_table(tmp_path, table):
    return READER.read(plant(tmp_path, {**headct(), "labels.csv": table}))


def test_labels(tmp_path):
    (dataset,) = READER.read(plant(tmp_path, headct()))
    assert names(dataset.train_normals) == [f"head_ct/head_ct/00{i}.png" for i in (3, 4, 5)]
    assert names(dataset.anomalies) == [f"head_ct/head_ct/00{i}.png" for i in (0, 1, 2)]
    assert dataset.classes == ("defect",)


def test_spellings_of_the_table(tmp_path):
    (dataset,) = read_table(tmp_path, b"\xef\xbb\xbf\nID,Hemorrhage\r\n 000 , 1\r\n\r\n4,0\r\n")
    assert names(dataset.train_normals + dataset.anomalies) == [
        "head_ct/head_ct/004.png",
        "head_ct/head_ct/000.png",
    ]


def test_images_and_table_that_disagree_are_reported(tmp_path):
    tree = headct()
    del tree["head_ct/head_ct/005.png"]
    tree |= {f"head_ct/{n}.png": picture(1) for n in ("77", "legend", "0\u0664", "4", "9" * 80)}
    listener = Listener()
    (dataset,) = READER.read(plant(tmp_path, tree), callback=listener)
    reasons = {Path(one.name).stem: one.reason for one in listener.skipped}
    assert reasons == {
        "0\u0664": "labels.csv does not name it",
        "77": "labels.csv does not name it",
        "9" * 80: "labels.csv does not name it",
        "legend": "labels.csv does not name it",
        "004": "head_ct/4.png has the same id",
        "id 5": "labels.csv names it, but there is no such file",
    }
    assert (len(dataset.train_normals), len(dataset.anomalies)) == (2, 3)


@pytest.mark.parametrize(
    "line", [b"1", b"1,2", b"x,1", b"1,1,1", b"0,0", b"-1,0", b"9" * 5000 + b",1"]
)
def test_a_table_that_makes_no_sense(tmp_path, line):
    with pytest.raises(DataError, match=r"Line 3 of .*labels\.csv (is|names)"):
        read_table(tmp_path, b"id, hemorrhage\n0,1\n" + line)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the data are not here")
def test_the_real_slices():
    (dataset,) = READER.read(SHARED)
    assert (len(dataset.train_normals), len(dataset.anomalies)) == (100, 100)
