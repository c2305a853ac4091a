"""Functions in processes of their own: what they give, raise, and how they end."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from running import until

from ahl._common.errors import ImageError, ProcessError
from ahl.apps.serve.child import Child, LateError, _context


def work(what):
    match what:
        case "sleep":
            time.sleep(60)
        case "die":
            os._exit(3)
        case "refuse":
            raise ImageError("it is none")
        case "fail":
            raise subprocess.CalledProcessError(1, "x")  # which cannot be pickled and read again
    return what, os.getpid()


def make(told="made"):
    return told, work


def refuse():
    raise ImageError("no such thing")


@pytest.fixture
def child():
    made = Child(make)
    yield made
    made.close()


def test_what_it_gives_and_raises_comes_back(child):
    assert child.start() == "made"
    given, process = child.call(30, "x")
    assert given == "x"
    assert process != os.getpid()
    with pytest.raises(ImageError, match="it is none"):
        child.call(30, "refuse")
    with pytest.raises(ProcessError, match="returned non-zero"):
        child.call(30, "fail")
    assert child.call(30, "y") == ("y", process)
    with pytest.raises(ImageError, match="no such thing"):
        Child(refuse).start()


@pytest.mark.parametrize(("what", "error"), [("sleep", LateError), ("die", ProcessError)])
def test_one_that_is_late_or_dies_is_begun_anew(child, what, error):
    _, first = child.call(30, "x")
    with pytest.raises(error):
        child.call(0.2, what)
    assert not child.running
    assert not psutil.pid_exists(first)
    _, second = child.call(30, "x")
    assert second != first


def test_without_a_folder_for_temporary_files_it_starts_too(monkeypatch):
    def missing():
        raise FileNotFoundError

    monkeypatch.setattr("tempfile.gettempdir", missing)
    _context.cache_clear()
    child = Child(make)
    assert child.call(30, "x")[0] == "x"
    child.close()
    monkeypatch.undo()
    _context.cache_clear()


def test_closing_ends_a_call_in_progress(child):
    child.start()
    threading.Timer(0.2, child.close).start()
    began = time.monotonic()
    with pytest.raises(ProcessError):
        child.call(60, "sleep")
    assert time.monotonic() - began < 30
    with pytest.raises(ProcessError):
        child.call(60, "x")


@pytest.mark.parametrize("end", ["pass", "os.kill(os.getpid(), 9)"])
def test_it_ends_with_the_process_that_started_it(end):
    """Also while it works, and though it takes no notice of SIGTERM."""
    code = f"""
import os, sys, threading, time
from contextlib import suppress
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_child import Child, ProcessError, make
if __name__ == "__main__":
    child = Child(make)
    print(child.call(60, "x")[1], flush=True)
    def asleep():
        with suppress(ProcessError):  # ended with this process, maybe a moment before it
            child.call(60, "sleep")
    threading.Thread(target=asleep, daemon=True).start()
    time.sleep(0.5)
    {end}
"""
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env=path
    )
    assert done.stderr == ""
    until(lambda: not psutil.pid_exists(int(done.stdout)))
