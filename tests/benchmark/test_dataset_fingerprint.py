"""A benchmark dataset is known by its files."""

import os

import pytest

from ahl._common.randomness import derive_seed
from ahl.benchmark.protocol import BenchmarkDataset
from ahl.data import open_dataset

FILES = {"good/a.png": 10, "good/b.png": 11, "dent/c.png": 12, "hole/d.png": 13}


def write(root, files=FILES):
    for name, size in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x" * size)
    return root


def fingerprint(*roots):
    subsets = tuple(open_dataset(root) for root in roots)
    return BenchmarkDataset(name="parts", subsets=subsets).fingerprint()


def test_equal_files_have_one_fingerprint_wherever_they_lie(tmp_path):
    one, two = write(tmp_path / "one"), write(tmp_path / "two", dict(reversed(FILES.items())))
    assert fingerprint(one) == fingerprint(one) == fingerprint(two)


def test_contents_and_times_are_not_read(tmp_path):
    before = fingerprint(write(tmp_path))
    (tmp_path / "good/a.png").write_bytes(b"y" * FILES["good/a.png"])
    os.utime(tmp_path / "good/b.png", (1, 1))
    (tmp_path / "good/readme.txt").write_text("no image")
    assert fingerprint(tmp_path) == before


@pytest.mark.parametrize("added", ["good/z.png", "dent/z.png", "hole/0.png", "scratch/c.png"])
def test_another_file_changes_it_and_its_removal_changes_it_back(tmp_path, added):
    before = fingerprint(write(tmp_path))
    write(tmp_path, {added: 12})
    assert fingerprint(tmp_path) != before
    (tmp_path / added).unlink()
    assert fingerprint(tmp_path) == before


@pytest.mark.parametrize("resized", FILES)
@pytest.mark.parametrize("by", [-1, 1])
def test_another_size_changes_it(tmp_path, resized, by):
    before = fingerprint(write(tmp_path))
    write(tmp_path, {resized: FILES[resized] + by})
    assert fingerprint(tmp_path) != before


@pytest.mark.parametrize(
    ("old", "new"),
    [("good/a.png", "good/aa.png"), ("dent/c.png", "hole/c.png"), ("good/b.png", "dent/b.png")],
)
def test_another_name_or_class_changes_it(tmp_path, old, new):
    before = fingerprint(write(tmp_path))
    (tmp_path / old).rename(tmp_path / new)
    assert fingerprint(tmp_path) != before


def test_every_part_counts(tmp_path):
    one, two = write(tmp_path / "one"), write(tmp_path / "two")
    before = fingerprint(one, two)
    assert before != fingerprint(one)
    write(two, {"good/a.png": 99})
    assert fingerprint(one, two) != before


def test_names_need_not_be_utf_8(tmp_path):
    odd = os.fsdecode(b"Kratzer\xe4/caf\xe9.png")
    found = {
        fingerprint(write(tmp_path / name, files))
        for name, files in (
            ("plain", FILES),
            ("odd", FILES | {odd: 14}),
            ("other", FILES | {odd.replace("caf", "x"): 14}),
        )
    }
    assert len(found) == 3
    assert derive_seed(0, odd) != derive_seed(0, "Kratzer")
