"""A benchmark that is killed: it goes on where it stopped, and leaves no process behind."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from ahl.benchmark.results import Results
from commands import run, small_backbone


def test_a_killed_run_goes_on_where_it_stopped(benchmark_folder, tmp_path):
    output = tmp_path / "results"
    command = [
        *("benchmark", "run", "--dataset", f"x={benchmark_folder}"),
        *("--method", "logistic", "--method", "patchcore", "--method", "devnet", "--seeds", "4"),
        *("--anomalies", "3", *small_backbone(tmp_path), "--image-size", "64", "--threads", "1"),
        *("--cache", str(tmp_path / "cache"), "--output", str(output), "--json"),
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "ahl", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        limit = time.monotonic() + 120
        while process.poll() is None and not (
            (output / "results.jsonl").exists()
            and (output / "results.jsonl").read_bytes().count(b"\n") >= 2
        ):
            assert time.monotonic() < limit
            time.sleep(0.01)
        assert process.poll() is None, "the run ended before it could be killed"
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    done = len(Results(output, writable=False).trials)
    assert 2 <= done < 12
    values = json.loads(run(*command, "--resume").stdout)
    assert (values["computed"], values["kept"]) == (12 - done, done)
    lines = (output / "results.jsonl").read_text().splitlines()
    keys = [json.loads(line)["key"] for line in lines]
    assert len(set(keys)) == len(keys) == 12


def runs(process):
    """An orphan that has ended may stay a zombie: nobody need collect it here."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_processes_end_with_a_parent_that_is_killed(benchmark_folder, tmp_path):
    command = [
        *(sys.executable, "-m", "ahl", "benchmark", "run", "--dataset", f"x={benchmark_folder}"),
        *("--method", "ahl-dra", "--seeds", "2", "--anomalies", "3", *small_backbone(tmp_path)),
        *("--image-size", "64", "--jobs", "2", "--cache", str(tmp_path / "cache")),
        *("--output", str(tmp_path / "results")),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    children = []
    try:
        limit = time.monotonic() + 60
        while len(children) < 3 and process.poll() is None:  # the queue's process, two workers
            assert time.monotonic() < limit
            time.sleep(0.1)
            children = psutil.Process(process.pid).children(recursive=True)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    limit = time.monotonic() + 30
    while (alive := list(filter(runs, children))) and time.monotonic() < limit:
        time.sleep(0.1)
    for child in alive:
        child.kill()
    assert not alive
