"""AITEX: tiles, masks that are missing, doubled or empty, and names without a class."""

import pytest

from ahl._common.errors import DataError
from ahl.benchmark.datasets import find_reader
from raw_trees import TILE, Listener, aitex, mask, names, picture, plant

READER = find_reader("aitex")
WIDTH = 3 * TILE + 40


def read(root):
    listener = Listener()
    (dataset,) = READER.read(root, callback=listener)
    return dataset, {one.name: one.reason for one in listener.skipped}


def test_tiles_and_classes(tmp_path):
    dataset, skipped = read(plant(tmp_path, aitex()))
    assert skipped == {}
    assert len(dataset.train_normals) == 4 * 3, "the incomplete fourth tile is dropped"
    first = dataset.train_normals[0]
    assert first.name == "NODefect_images/2306881-210020u/0000_000_00.png#0"
    assert first.box == (0, 0, TILE, 8)
    assert [(s.name, s.class_name, s.box) for s in dataset.anomalies] == [
        ("Defect_images/0001_002_00.png#0", "broken_end", (0, 0, 256, 8)),
        ("Defect_images/0001_002_00.png#2", "broken_end", (512, 0, 768, 8)),
        ("Defect_images/0002_036_01.png#1", "weft_crack", (256, 0, 512, 8)),
    ]


def cut(*classes):
    folders = ("train/good", "test/good", *(f"test/{name}" for name in classes))
    return {f"{folder}/{i}.png": picture(i) for folder in folders for i in range(2)}


def test_tiles_that_are_cut_already_keep_their_split(tmp_path):
    dataset, skipped = read(plant(tmp_path, cut("nep", "weft_crack")))
    assert skipped == {}
    assert dataset.layout == "benchmark"
    assert names(dataset.train_normals) == ["train/good/0.png", "train/good/1.png"]
    assert names(dataset.test_normals) == ["test/good/0.png", "test/good/1.png"]
    assert {sample.class_name for sample in dataset.anomalies} == {"nep", "weft_crack"}


def test_a_folder_with_another_kind_of_defect_is_not_taken_for_aitex(tmp_path):
    assert not READER.recognises(plant(tmp_path, cut("nep", "scratch")))


def test_masks_missing_doubled_and_elsewhere(tmp_path):
    tree = aitex()
    tree |= {
        "Defect_images/0003_019_04.png": picture(3, WIDTH),
        "Mask_images/0003_019_04_mask1.png": mask(WIDTH, 8, (0, 0)),
        "Mask_images/0003_019_04_mask2.png": mask(WIDTH, 8, (TILE, 0)),
        "Defect_images/0004_030_00.png": picture(4, WIDTH),
        "Defect_images/0005_030_00.png": picture(5, WIDTH),
        "Defect_images/0005_030_00_MASK.png": mask(WIDTH, 8, (0, 1)),
    }
    dataset, skipped = read(plant(tmp_path, tree))
    assert skipped == {"Defect_images/0004_030_00.png": "it has no mask"}
    assert names(dataset.anomalies)[-3:] == [
        "Defect_images/0003_019_04.png#0",
        "Defect_images/0003_019_04.png#1",
        "Defect_images/0005_030_00.png#0",
    ]
    assert dataset.classes == ("broken_end", "fuzzyball", "nep", "weft_crack")


def test_what_cannot_be_used_is_reported(tmp_path):
    tree = aitex()
    folder = "Defect_images"
    tree |= {
        f"{folder}/0010_099_00.png": picture(1, WIDTH),
        f"{folder}/strange.png": picture(1, WIDTH),
        f"{folder}/0011_002_00.png": picture(1, WIDTH),
        "Mask_images/0011_002_00_mask.png": mask(WIDTH, 8),
        f"{folder}/0012_002_00.png": picture(1, WIDTH),
        "Mask_images/0012_002_00_mask.png": mask(WIDTH, 8, (3 * TILE, 0)),
        f"{folder}/0013_002_00.png": picture(1, WIDTH),
        "Mask_images/0013_002_00_mask.png": mask(WIDTH - 1, 8, (0, 0)),
        f"{folder}/0014_002_00.png": picture(1, WIDTH),
        "Mask_images/0014_002_00_mask.png": b"no image",
        f"{folder}/0015_002_00.png": b"",
        "Mask_images/0015_002_00_mask.png": mask(WIDTH, 8, (0, 0)),
        "NODefect_images/x/0016_000_00.png": picture(1, TILE - 1),
        "NODefect_images/x/0017_000_00.png": b"no image",
    }
    dataset, skipped = read(plant(tmp_path, tree))
    assert len(dataset.anomalies) == 3
    assert len(dataset.train_normals) == 12
    reasons = {name.split("/")[-1][:4]: reason for name, reason in skipped.items()}
    assert sorted(reasons) == ["0010", *(f"00{n}" for n in range(11, 18)), "stra"]
    assert "no known defect code" in reasons["0010"]
    assert "no known defect code" in reasons["stra"]
    assert reasons["0011"] == reasons["0012"] == "its mask touches no whole tile"
    assert reasons["0013"] == "its mask 0013_002_00_mask.png has 807 x 8 pixels, not 808 x 8"
    assert reasons["0014"].startswith("its mask 0014_002_00_mask.png: it is not a PNG")
    assert "255 pixels wide, less than a tile" in reasons["0016"]


def test_folders_repeated_by_the_zip(tmp_path):
    doubled = {}
    for name, content in aitex().items():
        top, rest = name.split("/", 1)
        doubled[f"{top}/{top}/{rest}"] = content
    dataset, skipped = read(plant(tmp_path, doubled))
    assert (len(dataset.train_normals), len(dataset.anomalies), skipped) == (12, 3, {})


def test_no_masks_at_all(tmp_path):
    tree = {name: content for name, content in aitex().items() if "mask" not in name}
    with pytest.raises(DataError, match=r"no masks.*Add Mask_images.*0001_002_00_mask\.png"):
        READER.read(plant(tmp_path, tree))
