"""Functions in processes of their own: what they give, raise, and how they end."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from multiprocessing import forkserver
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


@pytest.fixture
def hanging():
    """Suspends the server that processes are started by, as a machine that is short of all does."""
    suspended = []

    def hang():
        server = psutil.Process(forkserver._forkserver._forkserver_pid)
        server.suspend()
        until(lambda: server.status() == psutil.STATUS_STOPPED)
        suspended.append(server)

    yield hang
    for one in suspended:
        with contextlib.suppress(psutil.Error):
            one.resume()


def test_closing_ends_a_start_that_hangs(child, hanging):
    Child(make).start()  # there is a server
    hanging()
    failed = []

    def start():
        with pytest.raises(ProcessError, match="no process could be started"):
            child.start()
        failed.append(True)

    thread = threading.Thread(target=start, daemon=True)
    thread.start()
    time.sleep(0.5)
    began = time.monotonic()
    child.close()
    thread.join(30)
    assert failed
    assert time.monotonic() - began < 30
    other = Child(make)
    assert other.call(60, "x")[0] == "x", "by another server"
    other.close()


def test_one_that_is_late_is_given_up_though_nobody_tells_of_its_end(child, hanging):
    child.start()
    hanging()
    began = time.monotonic()
    with pytest.raises(LateError):
        child.call(0.2, "sleep")
    assert time.monotonic() - began < 30
    assert child.call(60, "x")[0] == "x"


def test_after_a_start_that_hangs_is_given_up_the_next_succeeds(child, hanging):
    for _ in range(5):  # also where the server that was ended takes a moment to end
        Child(make).start()
        hanging()
        with pytest.raises(ProcessError, match="no process could be started"):
            child.start(0.2)
        assert child.call(60, "x")[0] == "x"
        child.end()


@pytest.mark.parametrize("busy", [True, False])
@pytest.mark.parametrize("end", ["pass", "os.kill(os.getpid(), 9)", "hang()"])
def test_it_ends_with_the_process_that_started_it(end, busy):
    """Also while it works, and though it takes no notice of SIGTERM."""
    code = f"""
import os, signal, sys, threading, time
from contextlib import suppress
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_child import Child, ProcessError, make
if __name__ == "__main__":
    child = Child(make)
    print(child.call(60, "x")[1], flush=True)
    def asleep():
        with suppress(ProcessError):  # ended with this process, maybe a moment before it
            child.call(60, "sleep")
    if {busy}:
        threading.Thread(target=asleep, daemon=True).start()
    time.sleep(0.5)
    def hang():  # and end: the interpreter waits for its processes
        from multiprocessing import forkserver
        os.kill(forkserver._forkserver._forkserver_pid, signal.SIGSTOP)
    {end}
"""
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env=path
    )
    assert done.stderr == ""
    until(lambda: not psutil.pid_exists(int(done.stdout)))
