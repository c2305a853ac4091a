"""Mastcam: arrays, in the split they bring."""

from ahl.benchmark.datasets import find_reader
from ahl.data import draw_split
from ahl.data.images.reading import read_pixels
from raw_trees import array, mastcam, names, plant

READER = find_reader("mastcam")


def test_the_own_split_is_kept(tmp_path):
    (dataset,) = READER.read(plant(tmp_path, mastcam()))
    assert names(dataset.train_normals) == [f"train_typical/sol{i}.npy" for i in range(4)]
    assert names(dataset.test_normals) == ["test_typical/sol0.npy", "test_typical/sol1.npy"]
    assert dataset.classes == ("bedrock", "drill-hole")
    assert draw_split(dataset, anomalies=1).normals == dataset.train_normals
    assert read_pixels(dataset.anomalies[0].source).shape == (8, 9, 3)


def test_other_folders_and_files_are_not_read(tmp_path):
    tree = {
        **mastcam(),
        "validation_typical/sol9.npy": array(9),
        "test_novel/loose.npy": array(8),
        "test_novel/empty/readme.txt": b"",
        "train_typical/preview.png": b"",
        "train_typical/.hidden.npy": b"",
        "train_typical/deeper/sol7.npy": array(7),
    }
    (dataset,) = READER.read(plant(tmp_path, tree))
    assert len(dataset.train_normals) == 5
    assert (len(dataset.test_normals), len(dataset.anomalies)) == (2, 4)
    assert dataset.classes == ("bedrock", "drill-hole")
