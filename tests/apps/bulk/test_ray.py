"""The engine ray: two processes of this machine write the same bytes as one."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
from shards import files_of, rows_of, told_by_predict

from commands import run

pytestmark = pytest.mark.skipif(
    find_spec("ray") is None and "AHL_TESTS_MUST_INSTALL" not in os.environ,
    reason="the extra ahl[ray] is not installed",
)

# In processes of their own: Ray reads its settings when it is imported, and leaves things open.
WATCHED = """
import os, pathlib, sys
from ahl.apps.bulk import ray_engine
from ahl.apps.cli import main

workers = pathlib.Path(sys.argv[1])

class Watched(ray_engine.ShardActor):
    def __call__(self, batch):
        (workers / str(os.getpid())).touch()
        return super().__call__(batch)

ray_engine.ShardActor = Watched
(workers / "driver").write_text(str(os.getpid()))
main(sys.argv[2:])
"""


def on_ray(*arguments, code=0, start=("-m", "ahl")):
    command = [sys.executable, *map(str, (*start, *arguments)), "--engine", "ray"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_two_processes_write_what_one_does(model, inspection_folder, tmp_path):
    alone, both, workers = tmp_path / "alone", tmp_path / "both", tmp_path / "workers"
    workers.mkdir()
    (tmp_path / "bad.png").write_text("no image")
    paths = (inspection_folder, tmp_path / "bad.png")
    options = ("--shard-size", 2, "--threads", 1)
    run("predict", model, *paths, "--output", alone, *options, code=3)
    arguments = ("predict", model, *paths, "--output", both, *options, "--workers", 2)
    on_ray(*arguments, code=3, start=("-c", WATCHED, workers))
    assert files_of(both) == files_of(alone)
    told = told_by_predict(model, *paths, code=3)
    assert [r["path"] for r in rows_of(both)] == [t["path"] for t in told]
    scores = [[r["score"] for r in rows if "score" in r] for rows in (rows_of(both), told)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-3)
    assert len(scores[0]) == 30
    driver = (workers / "driver").read_text()
    seen = {path.name for path in workers.iterdir()} - {"driver"}
    assert len(seen) == 2, "both processes work"
    assert driver not in seen


def test_a_workers_error_is_a_message(model, inspection_folder, tmp_path):
    cut = tmp_path / "cut.ahl"
    cut.write_bytes(model.read_bytes()[:10_000])
    done = on_ray("predict", cut, inspection_folder, "--output", tmp_path / "out", code=1)
    assert f"{cut} is not a readable ahl model: it is truncated" in done.stderr
    done = on_ray("predict", model, inspection_folder, "--output", "memory://out", code=2)
    assert "where Ray's workers cannot write" in done.stderr
