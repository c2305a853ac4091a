"""Samples out of paths with labels, and of tables."""

import numpy as np
import pytest
from PIL import Image

from ahl._common.errors import DataError
from ahl.data.given import dataset_of_paths, dataset_of_table


def picture(path, number=0, *, mask=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(number).integers(30, 220, (12, 12), dtype=np.uint8)
    if mask:
        values = np.where(values > 128, 255, 0).astype(np.uint8)
    Image.fromarray(values).save(path)


@pytest.fixture
def loose(tmp_path):
    """Free/Imgs, Crack/Imgs and marks, in no layout."""
    for number in range(3):
        picture(tmp_path / "Free" / "Imgs" / f"f{number}.png", number)
        picture(tmp_path / "Crack" / "Imgs" / f"c{number}.png", 10 + number)
        picture(tmp_path / "marks" / f"c{number}.png", number, mask=True)
    return tmp_path


def names(samples):
    return [sample.name for sample in samples]


def test_paths_with_labels_are_a_dataset(loose):
    dataset = dataset_of_paths(
        [str(loose / "Free")], {"crack": [str(loose / "Crack" / "*" / "*.png")]}
    )
    assert (dataset.name, dataset.root, dataset.layout) == (loose.name, loose, "inspection")
    assert names(dataset.train_normals) == [f"Free/Imgs/f{n}.png" for n in range(3)]
    assert names(dataset.anomalies) == [f"Crack/Imgs/c{n}.png" for n in range(3)]
    assert dataset.classes == ("crack",)
    assert dataset.notes == ()


def test_masks_are_paired_by_name(loose):
    picture(loose / "marks" / "other.png", mask=True)
    dataset = dataset_of_paths(
        [str(loose / "Free")], {"crack": [str(loose / "Crack")]}, [str(loose / "marks")]
    )
    assert [sample.masks for sample in dataset.anomalies] == [
        (loose / "marks" / f"c{n}.png",) for n in range(3)
    ]
    assert all(sample.masks == () for sample in dataset.train_normals)
    (note,) = dataset.notes
    assert "1 of 4 masks not used" in note
    assert "other.png" in note


def test_an_image_given_twice_or_nothing_good_is_refused(loose):
    free, crack = str(loose / "Free"), str(loose / "Crack")
    with pytest.raises(DataError, match=r"f0\.png is given as good and as crack"):
        dataset_of_paths([free], {"crack": [crack, str(loose / "Free" / "Imgs" / "f0.png")]})
    with pytest.raises(DataError, match="No good images are given"):
        dataset_of_paths([], {"crack": [crack]})
    with pytest.raises(DataError, match="no file or folder"):
        dataset_of_paths([free], {"crack": [str(loose / "Crak")]})


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_is_a_dataset(loose, separator):
    rows = [
        ["File", "Label", "Mask", "Unknown"],
        ["Free/Imgs/f0.png", "OK", "", "x"],
        [r".\Free\Imgs\f1.png", "0", "", ""],
        ["f2.png", "good", "", ""],
        ["Crack/Imgs/c0.png", "1", "marks/c0.png", ""],
        ["Crack/Imgs/c1.png", "crack", "", ""],
    ]
    picture(loose / "all" / "f2.png")
    table = loose / "labels.csv"
    table.write_text("\n".join(map(separator.join, rows)) + "\n\n", encoding="utf-8-sig")
    dataset = dataset_of_table(table)
    assert names(dataset.train_normals) == ["Free/Imgs/f0.png", "Free/Imgs/f1.png", "f2.png"]
    assert dataset.train_normals[2].path == loose / "all" / "f2.png"
    assert dataset.classes == ("anomaly", "crack")
    assert dataset.anomalies[0].masks == (loose / "marks" / "c0.png",)
    assert dataset.notes == ("Columns of labels.csv that are ignored: unknown.",)


def table_of(loose, *rows, columns="path,label,split"):
    (loose / "t.csv").write_text("\n".join([columns, *rows]))
    return loose / "t.csv"


def test_splits_choose_rows(loose):
    free, crack = "Free/Imgs/f{}.png,good,{}", "Crack/Imgs/c{}.png,crack,{}"
    splits = ["train", "Validation", "test"]
    rows = [one.format(n, split) for one in (free, crack) for n, split in enumerate(splits)]
    table = table_of(loose, *rows)
    for number, split in enumerate(("train", "val", "test")):
        dataset = dataset_of_table(table, [split])
        assert names(dataset.train_normals) == [f"Free/Imgs/f{number}.png"]
        assert names(dataset.anomalies) == [f"Crack/Imgs/c{number}.png"]
        assert dataset.notes == (f"2 of 6 rows of t.csv taken (split: {split}).",)
    assert len(dataset_of_table(table).train_normals) == 3


def test_a_group_is_the_part_of_its_photographs(loose):
    rows = ["Free/Imgs/f0.png,good,7", "Free/Imgs/f1.png,good,", "Crack/Imgs/c0.png,crack,7"]
    for column in ("group", "Part"):
        dataset = dataset_of_table(table_of(loose, *rows, columns=f"path,label,{column}"))
        assert [one.part for one in (*dataset.train_normals, *dataset.anomalies)] == [
            "7",
            None,
            "7",
        ]
        assert dataset.notes == ()


GOOD = "Free/Imgs/f0.png,good"


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ([GOOD], "path,colour", "has no column label; its columns are path, colour"),
        (["f,good"], "where,label", "has no column path"),
        ([GOOD, "Free/Imgs/f1.png,"], "path,label", "Line 3 .*label is missing"),
        ([GOOD, ",good"], "path,label", "Line 3 .*path is missing"),
        ([GOOD, GOOD], "path,label", r"Line 3 .*f0\.png is listed twice"),
        ([f"{GOOD},later"], "path,label,split", "the split is 'later'; expected one of train, val"),
        ([f"{GOOD},train", f"{GOOD},"], "path,label,split", "Line 3 .*the split is ''"),
        (["gone.png,good"], "path,label", r"names no good image.*do not exist: gone\.png"),
        (["Crack/Imgs/c0.png,1"], "path,label", "names no good image that exists"),
    ],
)
def test_rows_that_are_not_understood_are_named(loose, rows, columns, message):
    with pytest.raises(DataError, match=message):
        dataset_of_table(table_of(loose, *rows, columns=columns))


def test_missing_files_are_said(loose):
    dataset = dataset_of_table(table_of(loose, GOOD, "gone.png,crack", columns="path,label"))
    assert dataset.notes == ("Files named in t.csv do not exist: gone.png.",)


def test_tables_that_cannot_be_read(loose):
    with pytest.raises(DataError, match="Cannot read the table"):
        dataset_of_table(loose / "gone.csv")
    (loose / "t.csv").write_bytes(b"path,label\n\xff\xfe,good\n")
    with pytest.raises(DataError, match="Cannot read the table"):
        dataset_of_table(loose / "t.csv")
