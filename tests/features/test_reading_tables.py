"""Tables of feature rows: maps, chunks and joins, from disk and from memory."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from stored_rows import LAYOUT, fill, open_store, rows_of

from ahl.features.maps import FeatureLayout
from ahl.features.table import FeatureTable


def some_table(count=7, seed=0):
    rows = np.random.default_rng(seed).normal(size=(count, LAYOUT.row_size)).astype(np.float16)
    return FeatureTable.of_rows(LAYOUT, rows), rows


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
