"""Tables with further channels: whatever is done to the rows, the channels stay beside them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ahl.features.maps import FeatureLayout
from ahl.features.table import FeatureTable

LAYOUT = FeatureLayout(((2, 2, 3), (2, 1, 2)))
FURTHER = 2
"""Channels appended."""


def stored(count, seed=0, layout=LAYOUT):
    rows = np.random.default_rng(seed).normal(size=(count, layout.row_size)).astype(np.float16)
    return FeatureTable.of_rows(layout, rows)


def drawn_channels(count, seed=0):
    random = np.random.default_rng(seed + 1000)
    return tuple(
        torch.from_numpy(random.normal(size=(count, FURTHER, h, w)).astype(np.float32))
        for _, h, w in LAYOUT.scales
    )


def with_channels(count, seed=0):
    return stored(count, seed).joined(drawn_channels(count, seed))


def maps_of(table):
    """Maps of every row, as NumPy arrays: one a scale."""
    rows = table.rows(np.arange(len(table)))
    return [scale.numpy() for scale in table.layout.split(rows)]


def assert_holds(table, expected):
    """By rows, in chunks, by maps from disk and from memory."""
    assert len(table) == len(expected[0])
    found = [maps_of(table), [m.numpy() for m in table.maps(torch.arange(len(table)))]]
    if len(table):
        rows = torch.cat([rows for _, rows in table.chunks(2)])
        found.append([m.numpy() for m in table.layout.split(rows)])
    resident = table.chosen(np.arange(len(table)))
    resident.keep_resident()
    found.append([m.numpy() for m in resident.maps(torch.arange(len(table)))])
    for maps in found:
        for ours, theirs in zip(maps, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_further_channels_come_behind_the_stored_ones():
    table, channels = stored(4), drawn_channels(4)
    joined = table.joined(channels)
    assert joined.layout == LAYOUT.with_channels(FURTHER)
    assert table.layout == LAYOUT
    expected = [
        np.concatenate([maps, further.numpy()], axis=1)
        for maps, further in zip(maps_of(table), channels, strict=True)
    ]
    assert_holds(joined, expected)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("chosen"), st.lists(st.integers(0, 99), max_size=6)),
        st.tuples(st.just("scaled"), st.sampled_from([0.5, 2.0, 3.0])),
        st.tuples(st.just("+ more"), st.integers(0, 3)),
        st.tuples(st.just("more +"), st.integers(0, 3)),
    ),
    max_size=5,
)


@given(count=st.integers(0, 5), steps=STEPS)
def test_rows_keep_their_channels_through_any_steps(count, steps):
    """Against plain arrays: `scaled` multiplies what is stored, not what was appended."""
    table, factor = with_channels(count), 1.0
    expected = maps_of(table)
    for number, (step, value) in enumerate(steps):
        if step == "chosen":
            indices = np.array([i % len(table) for i in value if len(table)], dtype=np.int64)
            table, expected = table.chosen(indices), [maps[indices] for maps in expected]
        elif step == "scaled":
            factor *= value
            table, expected = table.scaled(value), [maps.copy() for maps in expected]
            for maps in expected:
                maps[:, : LAYOUT.channels] *= value
        else:
            more = with_channels(value, seed=number + 1).scaled(factor)
            pairs = [(table, more), (expected, maps_of(more))]
            (one, two), (left, right) = [pair if step == "+ more" else pair[::-1] for pair in pairs]
            table = one + two
            expected = [np.concatenate(pair) for pair in zip(left, right, strict=True)]
    assert table.layout == LAYOUT.with_channels(FURTHER)
    assert_holds(table, expected)


@given(st.permutations(range(6)), st.integers(0, 6))
def test_joining_commutes_with_choosing_and_adding(order, cut):
    indices, channels = np.array(order), drawn_channels(6)
    whole = stored(6).joined(channels).chosen(indices)
    first, rest = indices[:cut], indices[cut:]
    parts = [
        stored(6).chosen(part).joined([scale[torch.from_numpy(part)] for scale in channels])
        for part in (first, rest)
    ]
    assert_holds(parts[0] + parts[1], maps_of(whole))


def test_scaling_before_or_after_joining_is_the_same():
    channels = drawn_channels(3)
    before, after = stored(3).scaled(4.0).joined(channels), stored(3).joined(channels).scaled(4.0)
    assert before.factor == after.factor == 4.0
    assert_holds(before, maps_of(after))


def test_the_tables_a_step_starts_from_stay_as_they_were():
    table = with_channels(4)
    expected = maps_of(table)
    table.chosen(np.array([3, 0]))
    table.scaled(9.0)
    table + with_channels(2, seed=1)
    assert_holds(table, expected)


MATRIX = torch.tensor([[1.0, 0.5, 0.0], [-2.0, 0.25, 3.0]])


@given(st.permutations(range(5)), st.sampled_from([0.5, 2.0]))
def test_projected_rows_are_the_stored_vectors_times_the_matrix(order, factor):
    indices, channels = np.array(order), drawn_channels(5)
    table = stored(5).projected(MATRIX).scaled(factor).joined(channels).chosen(indices)
    expected = [
        np.concatenate(
            [np.einsum("nchw,ck->nkhw", maps, MATRIX.numpy()) * factor, further.numpy()], axis=1
        )[indices]
        for maps, further in zip(maps_of(stored(5)), channels, strict=True)
    ]
    assert table.layout == LAYOUT.of_channels(3 + FURTHER)
    for ours, theirs in zip(maps_of(table), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    assert_holds(table, maps_of(table))


def test_a_projected_row_does_not_depend_on_what_is_read_with_it():
    layout = FeatureLayout(((96, 7, 7), (96, 4, 4)))
    matrix = torch.randn(96, 32, generator=torch.Generator().manual_seed(0))
    table = stored(40, layout=layout).projected(matrix)
    together = table.rows(np.arange(40))
    for index in range(40):
        assert torch.equal(table.rows(np.array([index]))[0], together[index])


def test_a_table_is_projected_once_and_before_channels_are_appended():
    for table in (stored(2).projected(MATRIX), with_channels(2)):
        with pytest.raises(ValueError, match="projected once"):
            table.projected(MATRIX)
    with pytest.raises(ValueError, match="cannot be joined"):
        stored(2).projected(MATRIX) + stored(2).projected(MATRIX.clone())


def test_tables_with_and_without_further_channels_are_not_mixed():
    wide = stored(2, layout=LAYOUT.with_channels(FURTHER))
    assert wide.layout == with_channels(2).layout
    for other in (stored(2), wide):
        for one, two in ((with_channels(2), other), (other, with_channels(2))):
            with pytest.raises(ValueError, match="cannot be joined"):
                one + two


def test_tables_of_other_factors_are_not_mixed():
    with pytest.raises(ValueError, match="factors"):
        with_channels(2) + with_channels(2).scaled(2.0)


def test_channels_are_joined_once():
    with pytest.raises(ValueError, match="already"):
        with_channels(2).joined(drawn_channels(2))


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux")
def test_rows_that_were_read_are_not_held(tmp_path):
    """Of a mapped file of 32 MB, no more than what is being read is the process's."""
    rows = np.ones((256, 65536), dtype=np.float16)
    np.save(tmp_path / "rows.npy", rows)
    layout = FeatureLayout(((65536, 1, 1),))
    table = FeatureTable.of_rows(layout, np.load(tmp_path / "rows.npy", mmap_mode="r"))

    def mapped():
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssFile"))

    before = mapped()
    for _, part in table.chunks(16):
        assert float(part.sum()) == part.numel()
    assert mapped() - before < 16_000
