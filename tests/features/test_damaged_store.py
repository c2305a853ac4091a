"""The cache of feature rows when its files rot."""

import numpy as np
import pytest
from stored_rows import LAYOUT, assert_holds, fill, only_shard, open_store, rows_of

KEYS = np.array([b"a", b"b", b"c"])
ROWS = rows_of("abc")
SUMS = np.zeros(3, np.uint32)


def arrays(*saved):
    """Damage that puts other arrays into the file."""

    def damage(path):
        with path.open("wb") as file:
            for array in saved:
                np.save(file, array)

    return damage


def cut(length):
    """Damage that leaves so many bytes."""
    return lambda path: path.write_bytes(path.read_bytes()[:length])


DAMAGE = {
    "empty": cut(0),
    "a few bytes": cut(7),
    "half a header": cut(64),
    "no keys": cut(128),
    "no rows": arrays(KEYS),
    "half a second header": cut(128 + 3 + 64),
    "no checksums": cut(128 + 3 + 128),
    "half a third header": cut(128 + 3 + 128 + 12 + 64),
    "a header of rows alone": cut(128 + 3 + 128 + 12 + 128),
    "one byte short": cut(-1),
    "noise": lambda path: path.write_bytes(bytes(range(256)) * 2),
    "a broken archive": lambda path: path.write_bytes(b"PK\x03\x04" + bytes(300)),
    "a pickle": lambda path: path.write_bytes(b"\x80\x04N."),
    "of earlier versions": arrays(KEYS, ROWS),
    "float32": arrays(KEYS, SUMS, ROWS.astype(np.float32)),
    "other row size": arrays(KEYS, SUMS, np.zeros((3, 4), np.float16)),
    "too few rows": arrays(KEYS, SUMS, np.zeros((2, LAYOUT.row_size), np.float16)),
    "too few keys": arrays(KEYS[:2], SUMS, ROWS),
    "too few checksums": arrays(KEYS, SUMS[:2], ROWS),
    "other checksums": arrays(KEYS, SUMS.astype(np.int64), ROWS),
    "numbers for keys": arrays(np.arange(3), SUMS, ROWS),
    "a number for keys": arrays(np.array(3), SUMS, ROWS),
    "keys that are no text": arrays(np.array([b"\xff", b"b", b"c"]), SUMS, ROWS),
    "rows alone": lambda path: np.save(path, ROWS),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_shard_is_removed_and_made_again(tmp_path, damage):
    store = open_store(tmp_path)
    fill(store, ["a", "b", "c"])
    path = only_shard(store)
    fill(store, ["other"])
    DAMAGE[damage](path)
    store = open_store(tmp_path)
    assert not any(key in store for key in "abc")
    assert not path.exists(), "a damaged shard must be removed"
    assert_holds(store, ["other"])
    fill(store, ["a", "b", "c"])
    assert_holds(open_store(tmp_path), ["a", "b", "c", "other"])


def test_no_flipped_byte_of_a_header_stops_the_store(tmp_path):
    store = open_store(tmp_path)
    fill(store, ["a", "b", "c"])
    path = only_shard(store)
    good = path.read_bytes()
    for position in (*range(100), *range(131, 231), *range(271, 371)):
        for flip in (0x01, 0x02, 0x08, 0x10, 0x80):
            damaged = bytearray(good)
            damaged[position] ^= flip
            path.write_bytes(bytes(damaged))
            store = open_store(tmp_path)
            assert path.exists() == ("a" in store)


def test_errors_that_are_not_damage_leave_the_shard_alone(tmp_path, monkeypatch):
    store = open_store(tmp_path)
    fill(store, ["a"])

    def no_memory(*_, **__):
        raise OSError(12, "Cannot allocate memory")

    with monkeypatch.context() as patched:
        patched.setattr(np, "memmap", no_memory)
        with pytest.raises(OSError, match="allocate"):
            open_store(tmp_path)
    assert_holds(open_store(tmp_path), ["a"])


@pytest.mark.parametrize("position", [128, 128 + 3 + 128, -2, -LAYOUT.row_size * 2])
def test_a_flipped_bit_in_what_is_read_is_noticed(tmp_path, position):
    """In a key, a checksum or a row: the rows are made again, and those of other shards stay."""
    store = open_store(tmp_path)
    fill(store, ["a", "b", "c"])
    path = only_shard(store)
    fill(store, ["other"])
    damaged = bytearray(path.read_bytes())
    damaged[position] ^= 0x04
    path.write_bytes(bytes(damaged))
    store = open_store(tmp_path)
    store.verify(["a", "b", "c", "other", "unknown"])
    held = [key for key in "abc" if key in store]
    assert held == (["b", "c"] if position == 128 else [])
    assert path.exists() is bool(held)
    assert_holds(store, [*held, "other"])
    fill(store, ["a", "b", "c"])
    assert_holds(open_store(tmp_path), ["a", "b", "c", "other"])


def test_only_rows_that_are_wanted_are_read(tmp_path):
    store = open_store(tmp_path)
    fill(store, ["a", "b", "c"])
    damaged = bytearray(only_shard(store).read_bytes())
    damaged[-1] ^= 0x01
    only_shard(store).write_bytes(bytes(damaged))
    store = open_store(tmp_path)
    store.verify(["a"])
    assert_holds(store, ["a", "b"])
