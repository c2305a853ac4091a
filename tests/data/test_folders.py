"""Both layouts are told apart and listed the same way whatever the file system does."""

import random
from pathlib import Path

import pytest

from ahl._common.errors import DataError
from ahl.data import draw_split, open_dataset

INSPECTION = ["good/2.png", "good/1.JPG", "scratch/a.bmp", "dent/deep/er/b.tif", "dent/a.png"]
BENCHMARK = [
    "train/good/1.png",
    "train/good/0.png",
    "test/good/1.png",
    "test/hole/1.png",
    "test/hole/0.png",
    "test/colour/0.png",
]
CLUTTER = [
    ".cache/x.png",
    "ground_truth/scratch/a_mask.png",
    "notes/readme.txt",
    "loose.png",
    "good/.hidden.png",
    "good/notes.txt",
]


def plant(root: Path, names: list[str]) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def names(samples):
    return [sample.name for sample in samples]


@pytest.mark.parametrize("seed", range(4))
def test_inspection_layout(tmp_path, seed):
    files = INSPECTION + CLUTTER
    dataset = open_dataset(plant(tmp_path / "bolts", random.Random(seed).sample(files, len(files))))
    assert dataset.layout == "inspection"
    assert (dataset.name, dataset.root) == ("bolts", tmp_path / "bolts")
    assert names(dataset.train_normals) == ["good/1.JPG", "good/2.png"]
    assert dataset.test_normals == ()
    assert names(dataset.anomalies) == ["dent/a.png", "dent/deep/er/b.tif", "scratch/a.bmp"]
    assert dataset.classes == ("dent", "scratch")
    for sample in dataset.train_normals + dataset.anomalies:
        assert sample.path == dataset.root / sample.name
        assert sample.class_name == sample.name.split("/")[0]
        assert sample.is_anomaly == (not sample.name.startswith("good"))


@pytest.mark.parametrize("seed", range(4))
def test_benchmark_layout(tmp_path, seed):
    clutter = ["ground_truth/hole/0_mask.png", "test/.x/0.png", "test/ground_truth/0.png"]
    files = BENCHMARK + clutter
    dataset = open_dataset(plant(tmp_path, random.Random(seed).sample(files, len(files))))
    assert dataset.layout == "benchmark"
    assert names(dataset.train_normals) == ["train/good/0.png", "train/good/1.png"]
    assert names(dataset.test_normals) == ["test/good/1.png"]
    assert names(dataset.anomalies) == ["test/colour/0.png", "test/hole/0.png", "test/hole/1.png"]
    assert dataset.classes == ("colour", "hole")
    assert [sample.class_name for sample in dataset.test_normals] == ["good"]


def test_samples_are_sorted_by_whole_name_across_classes(tmp_path):
    dataset = open_dataset(plant(tmp_path, ["good/1.png", "a/1.png", "a-b/1.png", "B/1.png"]))
    assert names(dataset.anomalies) == ["B/1.png", "a-b/1.png", "a/1.png"]
    assert dataset.classes == ("B", "a", "a-b")


@pytest.mark.parametrize("spelling", ["Good", "GOOD"])
def test_good_in_any_case(tmp_path, spelling):
    dataset = open_dataset(plant(tmp_path, [f"{spelling}/1.png", "Scratch/1.png"]))
    assert [sample.class_name for sample in dataset.train_normals] == ["good"]
    assert names(dataset.train_normals) == [f"{spelling}/1.png"]
    assert dataset.classes == ("Scratch",)


def test_normals_alone_are_a_dataset(tmp_path):
    for kind, files in {"inspection": ["good/1.png"], "benchmark": ["train/good/1.png"]}.items():
        dataset = open_dataset(plant(tmp_path / kind, files))
        assert dataset.layout == kind
        assert len(dataset.train_normals) == 1
        assert dataset.test_normals == dataset.anomalies == dataset.classes == ()


def test_folders_without_images_are_no_class(tmp_path):
    (tmp_path / "empty" / "deeper").mkdir(parents=True)
    assert open_dataset(plant(tmp_path, INSPECTION)).classes == ("dent", "scratch")


def test_the_root_may_be_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(plant(tmp_path / "bolts", INSPECTION))
    dataset = open_dataset(Path())
    assert dataset.name == "bolts"
    assert names(dataset.train_normals) == ["good/1.JPG", "good/2.png"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["OK/1.png", "bad/1.png"], r"folders OK, bad\..*good/ beside.*If .*OK holds.*rename"),
        (["train/normal/1.png", "test/x/1.png"], r"If .*train.normal holds .* rename it to good"),
        (["train/ok/1.png", "test/good/1.png"], r"If .*train.ok holds .* rename it to good"),
        (["OK/1.png", "NG/1.png"], r"Or give --good \S*OK --defect NG=\S*NG\.$"),
        (["Free/Imgs/1.png", "Crack/Imgs/1.png"], r"--good \S*Free --defect Crack=\S*Crack\.$"),
        (
            ["normal/line1/1.png", "normal/line2/1.png", "defects/crack/1.png"],
            r"--good \S*normal --defect crack=\S*defects.crack\.$",
        ),
        (["Defect-Free/1.png", "x/1.png"], r"If .*Defect-Free holds the normal images, rename it"),
        (
            ["all/1.png", "labels.csv"],
            r"folder all\..*labels\.csv labels them, give --table \S*csv",
        ),
        (["1.png", "t.csv"], r"1 image but no folders.*--table"),
        (["masks/1.png", "OK/1.png"], r"holds the folder OK\."),
        (["a/1.png", "b/1.png"], r"folders a, b\. Expected .*<kind>/\.$"),
        (["notes.txt"], "neither folders nor images"),
        (["1.png", "2.png"], r"2 images but no folders\..* Or give --good .* --defect KIND=FOLDER"),
        (["good/notes.txt", "bad/1.png"], r"good holds no image"),
        (["train/good/notes.txt", "test/good/1.png"], r"train.good holds no image"),
        (["train/good/1.png", "train/hole/1.png"], r"anomalies \(hole\) beside good/; move"),
        (["bottle/train/good/1.png", "cable/train/good/1.png"], r"not a dataset, but .*bottle"),
        (["bolts/good/1.png"], r"not a dataset, but .*bolts"),
        ([f"{n:02}/1.png" for n in range(12)], r"04, 05 and 6 more\."),
    ],
)
def test_what_fits_no_layout_is_explained(tmp_path, files, message):
    with pytest.raises(DataError, match=message):
        open_dataset(plant(tmp_path, files))


def test_what_is_left_out_of_a_layout_is_said(tmp_path):
    dataset = open_dataset(plant(tmp_path, [*INSPECTION, "loose.png", "a.txt"]))
    assert dataset.notes[0] == "1 file was left out, without an image's suffix: 1 .txt."
    assert dataset.notes[1].startswith("1 image is left out, outside the folders of classes: 1 in ")


def test_defects_beside_a_benchmark_layout_are_named_with_the_way_out(tmp_path):
    dataset = open_dataset(plant(tmp_path, ["train/good/1.png", "crack/1.png", "crack/2.png"]))
    (note,) = dataset.notes
    assert note.startswith("2 images are left out, outside the folders of classes: 2 in crack. ")
    assert "Defects belong into test/<kind>/." in note
    assert f"--good {tmp_path / 'train' / 'good'} --defect crack={tmp_path / 'crack'}" in note
    with pytest.raises(DataError, match=r"no anomalies.* in test/<kind>/"):
        draw_split(dataset, anomalies=None)


def test_samples_know_their_masks(tmp_path):
    files = [f"crack/{n}.png" for n in range(3)] + [f"ground_truth/crack/{n}.png" for n in (0, 2)]
    dataset = open_dataset(plant(tmp_path, [*files, "good/0.png"]))
    assert [len(sample.masks) for sample in dataset.anomalies] == [1, 0, 1]
    assert dataset.train_normals[0].masks == ()
    assert dataset.notes == ("2 masks are kept apart from the images: 2 in ground_truth/crack.",)


def test_roots_that_are_no_folders(tmp_path):
    plant(tmp_path, ["a.png"])
    with pytest.raises(DataError, match="There is no folder"):
        open_dataset(tmp_path / "missing")
    with pytest.raises(DataError, match="is a file"):
        open_dataset(tmp_path / "a.png")


def test_a_root_that_cannot_be_listed(tmp_path, monkeypatch):
    plant(tmp_path, INSPECTION)

    def deny(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", deny)
    with pytest.raises(DataError, match="Permission denied"):
        open_dataset(tmp_path)
