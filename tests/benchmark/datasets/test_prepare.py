"""Raw folders become train/good, test/good and test/<class>, whole or not at all."""

import pytest
from PIL import Image

from ahl._common.errors import ConfigurationError, DataError
from ahl.benchmark.datasets import READERS, find_reader
from ahl.benchmark.datasets.prepare import prepare
from ahl.data import draw_split, open_dataset
from ahl.data.images.reading import read_pixels
from raw_trees import TREES, Listener, headct, names, pictures, plant, sdd


def listing(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_what_is_written_holds_every_image_in_its_split(reader, tmp_path):
    raw, output = plant(tmp_path / "raw", TREES[reader.name]()), tmp_path / "deep" / "output"
    datasets = reader.read(raw)
    prepared = prepare(reader, raw, output)
    assert [one.name for one in prepared] == [dataset.name for dataset in datasets]
    for one, dataset in zip(prepared, datasets, strict=True):
        assert one.folder == (output / dataset.name if len(datasets) > 1 else output)
        written = open_dataset(one.folder)
        split = draw_split(dataset, anomalies=1)
        tested = [sample for sample in split.test if not sample.is_anomaly]
        assert written.classes == dataset.classes
        pairs = zip(
            (written.train_normals, written.test_normals, written.anomalies),
            (split.normals, tested, dataset.anomalies),
            strict=True,
        )
        for got, expected in pairs:
            assert len(got) == len(expected)
            read = sorted(read_pixels(sample.source).tobytes() for sample in got)
            assert read == sorted(read_pixels(sample.source).tobytes() for sample in expected)
        assert list(one.images) == [
            *("train/good", "test/good"),
            *(f"test/{class_name}" for class_name in dataset.classes),
        ]
        assert sum(one.images.values()) == len(listing(one.folder))
    assert sorted(p.name for p in output.parent.iterdir()) == ["output"]


def test_names_and_bytes(tmp_path):
    raw = plant(tmp_path / "raw", headct())
    prepare(find_reader("headct"), raw, tmp_path / "a")
    assert listing(tmp_path / "a")[0] == "test/defect/head_ct_head_ct_000.png"
    copy = tmp_path / "a" / "test" / "defect" / "head_ct_head_ct_000.png"
    assert copy.read_bytes() == (raw / "head_ct" / "head_ct" / "000.png").read_bytes()
    prepare(find_reader("sdd"), plant(tmp_path / "kos", sdd()), tmp_path / "b")
    assert listing(tmp_path / "b")[:2] == [
        "test/defect/kos01_Part1.jpg_1.png",
        "test/defect/kos03_Part0.jpg_1.png",
    ]
    with Image.open(tmp_path / "b" / "test" / "defect" / "kos01_Part1.jpg_1.png") as image:
        assert (image.format, image.size) == ("PNG", (6, 7))


def test_names_that_would_meet_stay_apart(tmp_path):
    tree = pictures(
        *("no/a.png", "no/b.png", "no/c/d.png", "no/c_d.png", "no/c#d.png", "no/C_D.PNG"),
        *("yes/a.png", "yes/a.jpg"),
    )
    raw = plant(tmp_path / "raw", tree)
    prepare(find_reader("brainmri"), raw, tmp_path / "a")
    written = [name.split("/")[-1].lower() for name in listing(tmp_path / "a")]
    assert len(written) == 8
    assert listing(tmp_path / "a/test/defect") == ["yes_a.jpg", "yes_a.png"]
    prepare(find_reader("brainmri"), raw, tmp_path / "b")
    assert listing(tmp_path / "a") == listing(tmp_path / "b")


def test_unreadable_images_are_left_out_and_reported(tmp_path):
    tree = headct()
    damaged = "head_ct/head_ct/003.png"
    tree |= {damaged: tree[damaged][:40], "head_ct/head_ct/001.png": b""}
    reader, listener = find_reader("headct"), Listener()
    raw = plant(tmp_path / "raw", tree)
    (one,) = prepare(reader, raw, tmp_path / "out", callback=listener)
    assert sorted(skip.name for skip in listener.skipped) == ["head_ct/head_ct/001.png", damaged]
    split = draw_split(*reader.read(raw), anomalies=1)
    expected = {name.replace("/", "_") for name in names(split.normals) if name != damaged}
    assert {p.name for p in (tmp_path / "out/train/good").iterdir()} == expected
    assert one.images["test/defect"] == 2


def test_nothing_is_left_when_nothing_can_be_read(tmp_path):
    tree = {name: b"" if name.endswith("png") else c for name, c in headct().items()}
    with pytest.raises(DataError, match="None of the training images of"):
        prepare(find_reader("headct"), plant(tmp_path / "raw", tree), tmp_path / "out")
    with pytest.raises(DataError, match="does not look like BrainMRI"):
        prepare(find_reader("brainmri"), tmp_path / "raw", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_an_interrupted_run_leaves_nothing(tmp_path, monkeypatch):
    calls = []

    def interrupted(stream, name):
        calls.append(name)
        if len(calls) == 4:
            raise KeyboardInterrupt

    raw = plant(tmp_path / "raw", headct())
    monkeypatch.setattr("ahl.benchmark.datasets.prepare.read_stream", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(find_reader("headct"), raw, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_the_output_must_be_new_or_empty(tmp_path):
    raw, reader = plant(tmp_path / "raw", headct()), find_reader("headct")
    (tmp_path / "empty").mkdir()
    prepare(reader, raw, tmp_path / "empty")
    before = listing(tmp_path / "empty")
    with pytest.raises(ConfigurationError, match="is not empty; name a new or empty folder"):
        prepare(reader, raw, tmp_path / "empty")
    assert listing(tmp_path / "empty") == before
    with pytest.raises(ConfigurationError, match=r"labels\.csv is a file"):
        prepare(reader, raw, raw / "labels.csv")
    prepare(reader, raw, raw / "inside")
    assert len(listing(raw / "inside")) == 6 + 1, "and the mark of an output"


def test_progress_is_told_from_nothing_to_all(tmp_path):
    stages = []
    listener = Listener()
    listener.on_stage = lambda *stage: stages.append(stage)
    prepare(
        find_reader("headct"), plant(tmp_path / "raw", headct()), tmp_path / "o", callback=listener
    )
    assert stages == [("preparing headct", done, 6) for done in range(7)]
