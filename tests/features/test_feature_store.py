"""The cache of feature rows: what it promises when processes are killed, race, or files rot."""

import json
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ahl.feature_maps import FeatureLayout
from ahl.features import store as feature_store
from ahl.features.store import FeatureStore, temporary_store_root
from ahl.features.table import FeatureTable

LAYOUT = FeatureLayout(((3, 2, 2), (3, 1, 1)))
IDENTITY = {"backbone": "test", "image_size": 64}


def row_of(key):
    """The row that belongs to a key, the same whoever makes it."""
    return np.random.default_rng(list(key.encode())).normal(size=LAYOUT.row_size).astype(np.float16)


def rows_of(keys):
    return np.stack([row_of(key) for key in keys])


def open_store(root, identity=IDENTITY):
    return FeatureStore(root, identity, LAYOUT)


def fill(store, keys):
    with store.writer() as writer:
        writer.add(list(keys), rows_of(keys))


def read(store, keys):
    return store.table(keys).rows(np.arange(len(keys))).numpy()


def assert_holds(store, keys):
    assert all(key in store for key in keys)
    np.testing.assert_array_equal(read(store, keys), rows_of(keys).astype(np.float32))


def some_table(count=7, seed=0):
    rows = np.random.default_rng(seed).normal(size=(count, LAYOUT.row_size)).astype(np.float16)
    return FeatureTable.of_rows(LAYOUT, rows), rows


# --- rows in, rows out -----------------------------------------------------------------------


def test_what_is_written_is_there_at_once_and_after_reopening(tmp_path):
    store = open_store(tmp_path)
    assert "a" not in store
    fill(store, ["a", "b", "c"])
    assert_holds(store, ["a", "b", "c"])
    assert_holds(open_store(tmp_path), ["a", "b", "c"])


def test_a_reopened_store_grows(tmp_path):
    fill(open_store(tmp_path), ["a", "b"])
    fill(open_store(tmp_path), ["c"])
    fill(open_store(tmp_path), ["d", "e"])
    assert_holds(open_store(tmp_path), ["a", "b", "c", "d", "e"])


@given(st.permutations(["a", "b", "c", "d", "e"]), st.integers(0, 4))
def test_a_table_follows_the_order_of_its_keys(order, repeated):
    with temporary_store_root() as root:
        store = open_store(root)
        fill(store, ["a", "b"])
        fill(store, ["c", "d", "e"])
        keys = [*order, order[repeated]]
        np.testing.assert_array_equal(read(store, keys), rows_of(keys).astype(np.float32))


def test_a_table_of_no_keys_is_empty(tmp_path):
    assert len(open_store(tmp_path).table([])) == 0


def test_an_unknown_key_is_an_error(tmp_path):
    store = open_store(tmp_path)
    fill(store, ["a"])
    with pytest.raises(KeyError):
        store.table(["a", "z"])


def test_stores_of_different_identity_do_not_meet(tmp_path):
    fill(open_store(tmp_path), ["a"])
    other = open_store(tmp_path, {**IDENTITY, "image_size": 128})
    assert "a" not in other
    assert_holds(open_store(tmp_path, dict(reversed(IDENTITY.items()))), ["a"])


def test_shards_are_closed_when_full(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_store, "SHARD_BYTES", 2 * rows_of(["a"]).nbytes)
    store = open_store(tmp_path)
    with store.writer() as writer:
        for key in "abcde":
            writer.add([key], rows_of([key]))
    assert len(list(store.folder.glob("*.npy"))) == 3
    assert_holds(open_store(tmp_path), "abcde")


def test_what_was_added_before_an_error_is_kept(tmp_path):
    store = open_store(tmp_path)

    def interrupted():
        with store.writer() as writer:
            writer.add(["a", "b"], rows_of(["a", "b"]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert_holds(open_store(tmp_path), ["a", "b"])


def test_a_temporary_store_is_gone_afterwards():
    with temporary_store_root() as root:
        fill(open_store(root), ["a"])
        assert root.exists()
    assert not root.exists()


# --- damage ----------------------------------------------------------------------------------


def only_shard(store):
    (listing,) = store.folder.glob("*.json")
    return listing, listing.with_suffix(".npy")


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


# --- killed and competing writers -------------------------------------------------------------

KILLED_WRITER = """
    import json, os, sys
    from pathlib import Path
    import numpy as np
    from ahl.features import store as feature_store
    from ahl.feature_maps import FeatureLayout

    root, moment = Path(sys.argv[1]), sys.argv[2]
    store = feature_store.FeatureStore(root, {identity!r}, FeatureLayout({scales!r}))
    rows = np.zeros((2, store.layout.row_size), np.float16)
    store.add_shard(["before", "it"], rows)

    def save_half(file, array, **_):
        file.write(b"\\x93NUMPY half a file")
        file.flush()
        os._exit(9)

    if moment == "while writing rows":
        np.save = save_half
    else:
        json.dumps = lambda *_: os._exit(9)
    store.add_shard(["x", "y"], rows)
"""


@pytest.mark.parametrize("moment", ["while writing rows", "between rows and listing"])
def test_what_a_killed_writer_leaves_is_harmless(tmp_path, moment):
    code = textwrap.dedent(KILLED_WRITER).format(identity=IDENTITY, scales=LAYOUT.scales)
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path), moment], check=False)
    assert killed.returncode == 9

    store = open_store(tmp_path)
    finished = {listing.stem for listing in store.folder.glob("*.json")}
    leftovers = [path.name for path in store.folder.iterdir() if path.stem not in finished]
    assert len(leftovers) == 1, "the test must leave something behind"
    assert "before" in store
    assert "it" in store
    assert "x" not in store
    fill(store, ["x", "y"])
    assert_holds(open_store(tmp_path), ["x", "y"])


def test_two_writers_on_one_folder(tmp_path):
    one, two = open_store(tmp_path), open_store(tmp_path)
    with one.writer() as first, two.writer() as second:
        first.add(["a", "b"], rows_of(["a", "b"]))
        second.add(["b", "c"], rows_of(["b", "c"]))
    fill(one, ["same", "keys"])
    fill(two, ["same", "keys"])
    assert_holds(one, ["a", "b", "same", "keys"])
    assert_holds(two, ["b", "c", "same", "keys"])
    assert_holds(open_store(tmp_path), ["a", "b", "c", "same", "keys"])


def test_a_shard_that_another_writer_has_finished_is_not_written_again(tmp_path, monkeypatch):
    one, two = open_store(tmp_path), open_store(tmp_path)
    fill(one, ["a", "b"])
    # Windows refuses to replace a file that someone has mapped.
    monkeypatch.setattr(np, "save", lambda *_, **__: pytest.fail("written again"))
    fill(two, ["a", "b"])
    assert_holds(two, ["a", "b"])


def test_a_finished_shard_of_another_writer_that_has_rotted_is_written_again(tmp_path):
    one, two = open_store(tmp_path), open_store(tmp_path)
    fill(one, ["a", "b"])
    _, array = only_shard(one)
    array.unlink()
    fill(two, ["a", "b"])
    assert_holds(two, ["a", "b"])
    assert_holds(open_store(tmp_path), ["a", "b"])


def test_many_writers_at_once(tmp_path):
    keys = [f"key {i}" for i in range(40)]

    def write(number):
        store = open_store(tmp_path)
        for start in range(0, len(keys), 4):
            mine = keys[(start + 4 * number) % len(keys) :][:4]
            if any(key not in store for key in mine):
                fill(store, mine)
        return store

    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(write, range(4)))
    for store in stores:
        assert_holds(store, keys)
    assert_holds(open_store(tmp_path), keys)
    assert not list(stores[0].folder.glob("*.part"))


def test_listings_are_plain_json(tmp_path):
    store = open_store(tmp_path)
    fill(store, ["ä", "b\n"])
    listing, _ = only_shard(store)
    assert json.loads(listing.read_text(encoding="utf-8")) == ["ä", "b\n"]
    assert_holds(open_store(tmp_path), ["ä", "b\n"])


# --- tables ----------------------------------------------------------------------------------

SHAPES = [(), (0,), (5,), (1, 1), (2, 3), (2, 0), (2, 1, 3)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("resident", [False, True])
def test_maps_take_indices_of_any_shape(shape, resident):
    table, rows = some_table()
    if resident:
        table.keep_resident()
    indices = torch.randint(7, shape, generator=torch.Generator().manual_seed(1))
    ours = table.maps(indices)
    assert [m.shape for m in ours] == [(*shape, *scale) for scale in LAYOUT.scales]
    assert all(m.dtype == torch.float32 for m in ours)
    whole = LAYOUT.split(torch.from_numpy(rows).float())
    for scale, everything in zip(ours, whole, strict=True):
        for place in np.ndindex(shape):
            assert torch.equal(scale[place], everything[int(indices[place])])


def test_resident_and_memory_mapped_maps_are_equal(tmp_path):
    store = open_store(tmp_path)
    fill(store, "abc")
    fill(store, "defgh")
    keys = list("hcbadegf")
    mapped, resident = store.table(keys), open_store(tmp_path).table(keys)
    resident.keep_resident()
    resident._shards.clear()  # nothing must be read any more
    indices = torch.tensor([[3, 0, 7], [2, 2, 5]])
    for one, other in zip(mapped.maps(indices), resident.maps(indices), strict=True):
        assert torch.equal(one, other)
        assert one.stride() == other.stride(), "heads rely on how positions lie in memory"


def test_a_table_over_the_limit_stays_on_disk():
    table, _ = some_table()
    bytes_needed = 4 * len(table) * LAYOUT.row_size
    table.keep_resident(limit=bytes_needed - 1)
    assert table._resident is None
    table.keep_resident(limit=bytes_needed)
    assert table._resident is not None


def test_tables_are_joined_end_to_end(tmp_path):
    store = open_store(tmp_path)
    fill(store, "abc")
    fill(store, "de")
    loose, rows = some_table(count=4)
    joined = store.table(list("eb")) + loose + store.table(list("c"))
    expected = np.concatenate([rows_of("eb"), rows, rows_of("c")]).astype(np.float32)
    assert len(joined) == 7
    np.testing.assert_array_equal(joined.rows(np.arange(7)).numpy(), expected)
    backwards = np.arange(7)[::-1].copy()
    np.testing.assert_array_equal(joined.rows(backwards).numpy(), expected[::-1])


def test_a_scaled_table_gives_scaled_values_from_disk_and_from_memory():
    table, rows = some_table(count=4)
    scaled = table.scaled(3.0).scaled(0.5)
    indices = np.arange(4)
    expected = 1.5 * rows.astype(np.float32)
    np.testing.assert_array_equal(scaled.rows(indices).numpy(), expected)
    np.testing.assert_array_equal(table.rows(indices).numpy(), rows.astype(np.float32))
    from_disk = scaled.maps(torch.from_numpy(indices))
    scaled.keep_resident()
    from_memory = scaled.maps(torch.from_numpy(indices))
    for one, other in zip(from_disk, from_memory, strict=True):
        assert torch.equal(one, other)
    with pytest.raises(ValueError, match="factor"):
        table + scaled


def test_tables_of_different_layouts_are_not_joined():
    other = FeatureLayout(((3, 2, 2),))
    with pytest.raises(ValueError, match="layout"):
        some_table()[0] + FeatureTable.of_rows(other, np.zeros((1, other.row_size), np.float16))


@given(count=st.integers(0, 9), size=st.integers(1, 5))
def test_chunks_are_all_rows_in_order(count, size):
    table, rows = some_table(count)
    chunks = list(table.chunks(size))
    assert all(len(indices) == len(part) <= size for indices, part in chunks)
    indices = [int(i) for part, _ in chunks for i in part]
    assert indices == list(range(count))
    if chunks:
        np.testing.assert_array_equal(
            torch.cat([part for _, part in chunks]).numpy(), rows.astype(np.float32)
        )
