"""kill -9 in the middle: nothing half-written, and the rest comes out the same to the byte."""

import signal
import subprocess
import sys
import time

from shards import files_of

from commands import run


def test_a_killed_run_goes_on_to_the_same_bytes(model, inspection_folder, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    options = ("--shard-size", "1", "--threads", "1")
    run("predict", model, inspection_folder, "--output", whole, *options)
    command = ("-m", "ahl", "predict", str(model), str(inspection_folder), "--output", str(killed))
    process = subprocess.Popen(
        [sys.executable, *command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while not (killed / "part-00000.parquet").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    left = {path.name: path.read_bytes() for path in killed.glob("part-*")}
    assert 1 <= len(left) < 30
    assert left.items() <= files_of(whole).items(), "whole, or not there"
    assert not (killed / "_SUCCESS").exists()
    result = run("predict", model, inspection_folder, "--output", killed, *options)
    assert f"({len(left)} of them already there)" in result.stdout
    shown = {name: data for name, data in files_of(killed).items() if not name.startswith(".")}
    assert shown == files_of(whole)
