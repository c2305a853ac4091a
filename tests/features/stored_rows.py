"""A feature store whose rows are known by their keys."""

import numpy as np

from ahl.features.maps import FeatureLayout
from ahl.features.store import FeatureStore

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


def only_shard(store):
    (path,) = store.folder.glob("*.npy")
    return path
