"""Hyper-Kvasir: the upper tract only."""

from ahl.benchmark.datasets import find_reader
from raw_trees import hyper_kvasir, names, plant

READER = find_reader("hyper-kvasir")


def test_landmarks_are_normal_and_findings_classes(tmp_path):
    (dataset,) = READER.read(plant(tmp_path, hyper_kvasir()))
    landmarks = "upper-gi-tract/anatomical-landmarks"
    assert names(dataset.train_normals) == [
        f"{landmarks}/pylorus/a.jpg",
        f"{landmarks}/retroflex-stomach/b.jpg",
        f"{landmarks}/z-line/a.jpg",
    ]
    assert dataset.classes == ("barretts", "esophagitis-b-d")
    assert len(dataset.anomalies) == 4


def test_the_tract_itself_may_be_named(tmp_path):
    plant(tmp_path, hyper_kvasir())
    (whole,) = READER.read(tmp_path)
    (tract,) = READER.read(tmp_path / "upper-gi-tract")
    assert [s.path for s in tract.anomalies] == [s.path for s in whole.anomalies]
    assert [s.path for s in tract.train_normals] == [s.path for s in whole.train_normals]
