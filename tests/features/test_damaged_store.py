"""The cache of feature rows when its files rot."""

import numpy as np
import pytest
from stored_rows import LAYOUT, assert_holds, fill, only_shard, open_store

ARRAY_DAMAGE = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "a few bytes": lambda path: path.write_bytes(path.read_bytes()[:7]),
    "half a header": lambda path: path.write_bytes(path.read_bytes()[:64]),
    "no rows": lambda path: path.write_bytes(path.read_bytes()[:128]),
    "one byte short": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "noise": lambda path: path.write_bytes(bytes(range(256)) * 2),
    "a broken archive": lambda path: path.write_bytes(b"PK\x03\x04" + bytes(300)),
    "a pickle": lambda path: path.write_bytes(b"\x80\x04N."),
    "float32": lambda path: np.save(path, np.zeros((3, LAYOUT.row_size), np.float32)),
    "other row size": lambda path: np.save(path, np.zeros((3, 4), np.float16)),
    "too few rows": lambda path: np.save(path, np.zeros((2, LAYOUT.row_size), np.float16)),
}
LISTING_DAMAGE = {
    "empty": "",
    "cut off": '["a", "b"',
    "not a list": '{"a": 0, "b": 1, "c": 2}',
    "not of keys": '[["a"], ["b"], ["c"]]',
    "too short": '["a", "b"]',
    "a number": "3",
}


def assert_is_made_again(root, listing, array):
    store = open_store(root)
    assert not any(key in store for key in "abc")
    assert not listing.exists(), "a damaged shard must be removed"
    assert not array.exists(), "a damaged shard must be removed"
    assert_holds(store, ["other"])
    fill(store, ["a", "b", "c"])
    assert_holds(open_store(root), ["a", "b", "c", "other"])


@pytest.mark.parametrize("damage", ARRAY_DAMAGE)
def test_damaged_rows_are_removed_and_made_again(tmp_path, damage):
    store = open_store(tmp_path)
    fill(store, ["a", "b", "c"])
    listing, array = only_shard(store)
    fill(store, ["other"])
    ARRAY_DAMAGE[damage](array)
    assert_is_made_again(tmp_path, listing, array)


@pytest.mark.parametrize("damage", LISTING_DAMAGE)
def test_a_damaged_listing_is_removed_and_its_rows_made_again(tmp_path, damage):
    store = open_store(tmp_path)
    fill(store, ["a", "b", "c"])
    listing, array = only_shard(store)
    fill(store, ["other"])
    listing.write_text(LISTING_DAMAGE[damage])
    assert_is_made_again(tmp_path, listing, array)


def test_no_flipped_byte_of_a_header_stops_the_store(tmp_path):
    store = open_store(tmp_path)
    fill(store, ["a", "b", "c"])
    listing, array = only_shard(store)
    good_rows, good_listing = array.read_bytes(), listing.read_bytes()
    for position in range(100):
        for flip in (0x01, 0x02, 0x08, 0x10, 0x80):
            damaged = bytearray(good_rows)
            damaged[position] ^= flip
            array.write_bytes(bytes(damaged))
            listing.write_bytes(good_listing)
            store = open_store(tmp_path)
            assert listing.exists() == ("a" in store)


def test_errors_that_are_not_damage_leave_the_shard_alone(tmp_path, monkeypatch):
    store = open_store(tmp_path)
    fill(store, ["a"])

    def no_memory(*_, **__):
        raise OSError(12, "Cannot allocate memory")

    with monkeypatch.context() as patched:
        patched.setattr(np.lib.format, "open_memmap", no_memory)
        with pytest.raises(OSError, match="allocate"):
            open_store(tmp_path)
    assert_holds(open_store(tmp_path), ["a"])
