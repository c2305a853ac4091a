"""SDD: bands by label, and the copy that is cut already."""

from pathlib import Path

import pytest

from ahl.benchmark.datasets import find_reader
from ahl.data import open_dataset
from raw_trees import Listener, mask, names, picture, pictures, plant, sdd

READER = find_reader("sdd")
SHARED = Path(__file__).parents[4] / "shared" / "data" / "sdd"


def test_bands(tmp_path):
    (dataset,) = READER.read(plant(tmp_path, sdd()))
    assert dataset.layout == "inspection"
    assert [(s.name, s.class_name, s.box) for s in dataset.anomalies] == [
        ("kos01/Part1.jpg#1", "defect", (0, 6, 6, 13)),
        ("kos03/Part0.jpg#1", "defect", (0, 6, 6, 13)),
    ]
    assert len(dataset.train_normals) == 3 * 6 - 2
    assert [s.box for s in dataset.train_normals[:3]] == [
        (0, 0, 6, 6),
        (0, 6, 6, 13),
        (0, 13, 6, 20),
    ]


def test_a_label_at_the_edge_of_a_band(tmp_path):
    tree = {**sdd(), "kos02/Part0_label.bmp": mask(6, 20, (0, 5), (0, 13), suffix=".bmp")}
    (dataset,) = READER.read(plant(tmp_path, tree))
    of_it = [name for name in names(dataset.anomalies) if name.startswith("kos02")]
    assert of_it == ["kos02/Part0.jpg#0", "kos02/Part0.jpg#2"]


def test_images_without_a_usable_label_are_reported(tmp_path):
    tree = sdd()
    del tree["kos01/Part0_label.bmp"]
    tree |= {
        "kos02/Part0_label.bmp": b"no image",
        "kos02/Part1_label.bmp": mask(6, 19, suffix=".bmp"),
        "kos02/Part2.jpg": b"no image",
        "kos02/Part2_label.bmp": mask(6, 20, suffix=".bmp"),
        "kos02/Part3.jpg": picture(1, 6, 2, ".jpg"),
        "kos02/Part3_label.bmp": mask(6, 2, suffix=".bmp"),
        "kos02/notes.jpg": b"",
    }
    listener = Listener()
    (dataset,) = READER.read(plant(tmp_path, tree), callback=listener)
    assert len(dataset.train_normals) + len(dataset.anomalies) == 3 * 3
    reasons = [(one.name, one.reason) for one in listener.skipped]
    assert [name for name, _ in reasons] == [
        "kos01/Part0.jpg",
        *(f"kos02/Part{part}.jpg" for part in range(4)),
    ]
    for (_, reason), part in zip(
        reasons,
        ["no label", "Part0_label.bmp", "6 x 19 pixels, not 6 x 20", "", "too low"],
        strict=True,
    ):
        assert part in reason


def test_the_copy_in_mvtecs_layout_keeps_its_split(tmp_path):
    tree = pictures(
        *("train/good/1_0.jpg", "train/good/2_0.jpg", "test/good/3_0.jpg", "test/defect/4_1.jpg"),
        "ground_truth/defect/4_1_mask.png",
    )
    (dataset,) = READER.read(plant(tmp_path / "sdd", tree))
    assert dataset == open_dataset(tmp_path / "sdd")
    (other,) = READER.read(
        plant(tmp_path / "x", {f"SDD/{name.upper()}": tree[name] for name in tree})
    )
    assert other.layout == "benchmark"
    assert [names(g) for g in (other.train_normals, other.test_normals, other.anomalies)] == [
        ["TRAIN/GOOD/1_0.JPG", "TRAIN/GOOD/2_0.JPG"],
        ["TEST/GOOD/3_0.JPG"],
        ["TEST/DEFECT/4_1.JPG"],
    ]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the data are not here")
def test_the_real_bands():
    (dataset,) = READER.read(SHARED)
    assert len(dataset.train_normals) + len(dataset.test_normals) == 1143
    assert len(dataset.anomalies) == 54
    assert dataset.classes == ("defect",)
