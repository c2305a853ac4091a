"""What every benchmark reader keeps, on a tiny raw folder of each."""

import pytest

from ahl._common.errors import ConfigurationError, DataError
from ahl.benchmark.datasets import READERS, find_reader
from ahl.data import draw_split
from ahl.data.images.reading import content_hash, read_pixels
from raw_trees import TREES, Listener, names, plant

EVERY = pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
IMAGES = (".png", ".jpg", ".bmp", ".npy")


def groups(dataset):
    return dataset.train_normals, dataset.test_normals, dataset.anomalies


def summary(datasets):
    return [
        (d.name, [[(s.name, s.class_name, s.box) for s in g] for g in groups(d)]) for d in datasets
    ]


def test_every_dataset_of_the_protocol_has_a_reader():
    assert [reader.name for reader in READERS] == list(TREES)
    assert [reader.title for reader in READERS] == [
        *("MVTec AD", "AITEX", "SDD", "ELPV", "Optical", "Mastcam", "BrainMRI", "HeadCT"),
        "Hyper-Kvasir",
    ]
    assert [reader.name for reader in READERS if reader.own_split] == ["mvtec", "mastcam"]


def test_find_reader():
    for reader in READERS:
        assert find_reader(reader.name) is find_reader(reader.name.upper()) is reader
    with pytest.raises(ConfigurationError, match=r"Unknown dataset 'mnist'.*mvtec, aitex.*kvas"):
        find_reader("mnist")


@EVERY
def test_samples_are_sorted_unique_and_in_one_group(reader, tmp_path):
    root = plant(tmp_path, TREES[reader.name]())
    listener = Listener()
    datasets = reader.read(root, callback=listener)
    assert listener.skipped == []
    assert [dataset.name for dataset in datasets] == sorted({d.name for d in datasets})
    for dataset in datasets:
        everything = [sample for group in groups(dataset) for sample in group]
        assert len(set(names(everything))) == len(everything)
        for group in groups(dataset):
            assert names(group) == sorted(names(group))
        assert dataset.train_normals
        assert dataset.anomalies
        assert not any(s.is_anomaly for s in dataset.train_normals + dataset.test_normals)
        assert all(sample.is_anomaly for sample in dataset.anomalies)
        assert (dataset.layout == "benchmark") == reader.own_split
        assert bool(dataset.test_normals) == reader.own_split
        sources = {sample.source for sample in everything}
        assert len({content_hash(source) for source in sources}) == len(everything)
        for sample in everything:
            assert sample.name.split("#")[0] == sample.path.relative_to(dataset.root).as_posix()
            assert read_pixels(sample.source).shape[2] == 3


@EVERY
def test_the_order_of_creation_does_not_matter(reader, tmp_path):
    read = [reader.read(plant(tmp_path / f"{i}", TREES[reader.name](), seed=i)) for i in range(3)]
    assert summary(read[0]) == summary(read[1]) == summary(read[2])
    draws = [
        [
            names(group)
            for d in datasets
            for s in [draw_split(d, anomalies=1)]
            for group in (s.normals, s.anomalies, s.test)
        ]
        for datasets in read
    ]
    assert draws[0] == draws[1] == draws[2]


@EVERY
def test_folders_around_and_beside_do_not_matter(reader, tmp_path):
    tree = TREES[reader.name]()
    plain = reader.read(plant(tmp_path / "plain", tree))
    clutter = {
        "__MACOSX/a/._b.png": b"",
        ".hidden/c.png": b"",
        "other/readme.txt": b"",
        "d.md": b"",
    }
    nested = plant(tmp_path / "nested", {f"archive/data v1/{name}": tree[name] for name in tree})
    plant(nested, clutter)
    assert summary(reader.read(nested)) == summary(plain)
    plant(tmp_path / "plain", {name: clutter[name] for name in list(clutter)[:2]})
    assert summary(reader.read(tmp_path / "plain")) == summary(plain)


@EVERY
@pytest.mark.parametrize("spelling", [str.upper, str.lower, str.swapcase])
def test_letter_case_does_not_matter(reader, tmp_path, spelling):
    tree = TREES[reader.name]()
    plain = reader.read(plant(tmp_path / "plain", tree))
    other = reader.read(plant(tmp_path / "other", {spelling(name): tree[name] for name in tree}))
    assert [dataset.name for dataset in other] == [dataset.name for dataset in plain]
    for one, two in zip(plain, other, strict=True):
        assert one.classes == two.classes
        assert [len(group) for group in groups(one)] == [len(group) for group in groups(two)]
        assert {s.name.lower() for s in one.anomalies} == {s.name.lower() for s in two.anomalies}


@EVERY
def test_images_are_not_decoded_to_list_them(reader, tmp_path):
    tree = TREES[reader.name]()
    plain = reader.read(plant(tmp_path / "plain", tree))
    if any(sample.box for dataset in plain for sample in dataset.anomalies):
        cut = {
            n: c if "mask" in n or "label" in n else c[: len(c) * 9 // 10] for n, c in tree.items()
        }
    else:
        cut = {name: b"" if name.lower().endswith(IMAGES) else tree[name] for name in tree}
    assert summary(reader.read(plant(tmp_path / "cut", cut))) == summary(plain)


@EVERY
def test_a_wrong_folder_is_explained(reader, tmp_path):
    folder = plant(tmp_path / "holiday", {"beach/1.png": b"", "hills/2.png": b"", "notes.txt": b""})
    with pytest.raises(DataError) as raised:
        reader.read(folder)
    message = str(raised.value)
    assert str(folder) in message
    assert f"does not look like {reader.title}: expected {reader.expects}" in message
    assert "found the folders beach, hills and the files notes.txt." in message
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="found nothing"):
        reader.read(tmp_path / "empty")
    with pytest.raises(DataError, match="There is no folder"):
        reader.read(tmp_path / "missing")
    with pytest.raises(DataError, match=r"notes\.txt is a file; name the folder"):
        reader.read(folder / "notes.txt")


@EVERY
def test_other_datasets_are_refused(reader, tmp_path):
    for name, tree in TREES.items():
        if name != reader.name:
            with pytest.raises(DataError, match="does not look like"):
                reader.read(plant(tmp_path / name, tree()))


@EVERY
def test_the_same_dataset_twice_is_not_guessed_at(reader, tmp_path):
    tree = TREES[reader.name]()
    for copy in ("one", "two"):
        plant(tmp_path / copy, tree)
    with pytest.raises(DataError, match=r"more than once, in .*one and .*two; name one"):
        reader.read(tmp_path)


@EVERY
def test_only_packaged_datasets_can_do_without_a_folder(reader, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if reader.name != "elpv":
        with pytest.raises(DataError, match="comes in no Python package; name its raw folder"):
            reader.read()
    plant(tmp_path / "package", TREES[reader.name]())
    assert reader.read(plant(tmp_path / "package", {}))[0].root.is_relative_to(tmp_path)


@EVERY
def test_a_folder_without_anomalies_is_refused(reader, tmp_path):
    tree = TREES[reader.name]()
    datasets = reader.read(plant(tmp_path / "whole", tree))
    gone = {s.path for dataset in datasets for s in dataset.anomalies}
    for path in gone:
        path.unlink()
    with pytest.raises(
        DataError, match=rf"holds no usable anomaly\. {reader.title} is expected as"
    ):
        reader.read(tmp_path / "whole")


def test_the_protocols_hard_settings():
    hard = {reader.name: reader.hard_classes for reader in READERS if reader.hard_classes}
    assert hard == {
        "aitex": ("broken_end", "broken_pick", "cut_selvage", "fuzzyball", "nep", "weft_crack")
    }
    assert {r.name: r.hard_subsets for r in READERS if r.hard_subsets} == {
        "mvtec": ("carpet", "metal_nut")
    }
