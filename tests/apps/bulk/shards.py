"""Reading what a run left, and writing Parquet files for one."""

import json

import pytest

from commands import run

pa = pytest.importorskip("pyarrow", reason="the extra ahl[bulk] is not installed")
pq = pytest.importorskip("pyarrow.parquet")


def files_of(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def rows_of(folder):
    """Rows of all shards in order, as `ahl predict --json` would print them."""
    rows = []
    for path in sorted(folder.glob("part-*.parquet")):
        rows += pq.read_table(path).to_pylist()
    return [{key: value for key, value in row.items() if value is not None} for row in rows]


def told_by_predict(model, *paths, code=0):
    """What `ahl predict --json` prints, but for `trained_on`."""
    lines = run("predict", model, *paths, "--json", code=code).stdout.splitlines()
    told = [json.loads(line) for line in lines]
    return [{key: value for key, value in one.items() if key != "trained_on"} for one in told]


def write_rows(path, column, values, kind, *, group=None):
    table = pa.table({"id": list(range(len(values))), column: pa.array(values, kind)})
    pq.write_table(table, path, row_group_size=group)
    return path
