"""kill -9 anywhere, and start again: every file once, with its bytes and one line in the log."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills processes that it forks")


def kill(**settings):
    script = [sys.executable, str(HERE / "killing.py"), json.dumps(settings)]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("copied", "steps"), [(False, 14), (True, 22)])
def test_kills_at_every_step(copied, steps, tmp_path):
    kill(root=str(tmp_path), other=str(tmp_path), copied=copied, steps=steps, seed=0)


@pytest.mark.parametrize("copied", [False, True])
def test_kills_at_any_moment(copied, tmp_path):
    kill(root=str(tmp_path), other=str(tmp_path), copied=copied, steps=0, seed=5)


def test_kills_between_two_file_systems(tmp_path):
    other = Path("/dev/shm")
    if not os.access(other, os.W_OK) or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is one file system here only")
    with tempfile.TemporaryDirectory(dir=other) as folder:
        kill(root=str(tmp_path), other=folder, copied=False, steps=0, seed=6)
