"""The cache of feature rows when its writers are killed, or race."""

import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from stored_rows import IDENTITY, LAYOUT, assert_holds, fill, only_shard, open_store, rows_of

KILLED_WRITER = """
    import os, sys
    from pathlib import Path
    import numpy as np
    from ahl.features import store as feature_store
    from ahl.features.maps import FeatureLayout

    store = feature_store.FeatureStore(Path(sys.argv[1]), {identity!r}, FeatureLayout({scales!r}))
    rows = np.zeros((2, store.layout.row_size), np.float16)
    store.add_shard(["before", "it"], rows)

    whole = np.save

    def save_half(file, array, **_):
        if array.dtype != np.float16:
            return whole(file, array)
        file.write(b"\\x93NUMPY half a file")
        file.flush()
        os._exit(9)

    np.save = save_half
    store.add_shard(["x", "y"], rows)
"""


def test_what_a_killed_writer_leaves_is_harmless(tmp_path):
    code = textwrap.dedent(KILLED_WRITER).format(identity=IDENTITY, scales=LAYOUT.scales)
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert killed.returncode == 9

    store = open_store(tmp_path)
    leftovers = [path.name for path in store.folder.iterdir() if path.suffix == ".part"]
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
    only_shard(one).write_bytes(b"")
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
