"""The cache of feature rows: what goes in comes out, now and after reopening."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored_rows import (
    IDENTITY,
    assert_holds,
    fill,
    open_store,
    read,
    rows_of,
)

from ahl.features import store as feature_store
from ahl.features.store import temporary_store_root


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


def test_keys_are_any_text(tmp_path):
    fill(open_store(tmp_path), ["ä", "b\n"])
    assert_holds(open_store(tmp_path), ["ä", "b\n"])
