"""BrainMRI: two folders, which the zip holds twice."""

from ahl.benchmark.datasets import find_reader
from raw_trees import brainmri, names, plant

READER = find_reader("brainmri")


def test_two_folders(tmp_path):
    (dataset,) = READER.read(plant(tmp_path, brainmri()))
    assert names(dataset.train_normals) == ["no/1 no.png", "no/N5.jpg", "no/no 3.jpg"]
    assert names(dataset.anomalies) == ["yes/Y1.jpg", "yes/Y10.png"]
    assert dataset.classes == ("defect",)


def test_the_zips_second_copy_is_not_read(tmp_path):
    tree = brainmri()
    copy = {f"brain_tumor_dataset/{name}": content for name, content in tree.items()}
    (dataset,) = READER.read(plant(tmp_path, tree | copy))
    assert (len(dataset.train_normals), len(dataset.anomalies)) == (3, 2)
    assert dataset.root == tmp_path
