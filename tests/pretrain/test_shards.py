"""Shards of drawn groups: the same whoever draws them, whole or absent."""

import numpy as np
import pytest

from ahl.errors import DataError
from ahl.pretrain import shards
from ahl.pretrain.shards import DrawnGroups, ShardFolder, draw_shards
from ahl.randomness import numpy_generator
from ahl.synthetic import draw_group


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(shards, "SHARD", 3)


def folder_in(path, seed=0):
    return ShardFolder(root=path, size=64, seed=seed)


def test_groups_are_those_of_their_seed(tmp_path):
    folder = folder_in(tmp_path)
    for shard in range(2):
        folder.draw(shard)
    groups = DrawnGroups(folder, 2)
    assert len(groups) == 6
    pictures, masks = groups[4]
    expected = draw_group(64, numpy_generator(0, "drawn", 4))
    np.testing.assert_array_equal(pictures[:4], expected.normals)
    np.testing.assert_array_equal(pictures[4:7], expected.like)
    np.testing.assert_array_equal(pictures[7], expected.sound)
    np.testing.assert_array_equal(pictures[8], expected.spoilt)
    np.testing.assert_array_equal(masks, expected.masks)


def test_what_is_there_is_kept(tmp_path):
    folder = folder_in(tmp_path)
    folder.draw(0)
    before = folder.pictures(0).stat()
    told = []
    draw_shards(folder, 1, processes=1, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 1)]
    assert folder.pictures(0).stat().st_mtime_ns == before.st_mtime_ns


def test_processes_draw_what_one_would(tmp_path, monkeypatch):
    monkeypatch.undo()  # a process of its own knows nothing of the smaller shards
    folder = folder_in(tmp_path / "many", seed=1)
    told = []
    draw_shards(folder, 1, processes=2, progress=lambda done, total: told.append((done, total)))
    assert told == [(0, 1), (1, 1)]
    alone = folder_in(tmp_path / "one", seed=1)
    alone.draw(0)
    assert folder.pictures(0).read_bytes() == alone.pictures(0).read_bytes()
    assert folder.masks(0).read_bytes() == alone.masks(0).read_bytes()


def test_a_drawing_cut_short_leaves_no_shard(tmp_path, monkeypatch):
    def fails(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(shards, "draw_group", fails)
    folder = folder_in(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        folder.draw(0)
    assert not folder.pictures(0).exists()


def test_seeds_and_sizes_have_folders_of_their_own(tmp_path):
    folders = {
        ShardFolder(root=tmp_path, size=size, seed=seed).folder
        for size in (64, 128)
        for seed in (0, 1)
    }
    assert len(folders) == 4


@pytest.mark.parametrize("damage", ["cut", "foreign", "of another shape"])
def test_damaged_shards_are_named(damage, tmp_path):
    folder = folder_in(tmp_path)
    folder.draw(0)
    path = folder.masks(0)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:100])
    elif damage == "foreign":
        path.write_text("no array")
    else:
        np.save(path, np.zeros((2, 2), np.uint8))
    with pytest.raises(DataError, match=r"masks\.npy.*delete it"):
        DrawnGroups(folder, 1)


def test_a_shard_without_its_masks_is_drawn_again(tmp_path):
    folder = folder_in(tmp_path)
    folder.draw(0)
    folder.masks(0).unlink()
    assert not folder.has(0)
