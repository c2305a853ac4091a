"""Several worker processes: one port, one set of counters, and what follows when they die."""

import contextlib
import subprocess
import sys
import time

import psutil
from fakes import png
from running import FAKE, can_score, running, until


def test_several_processes_share_port_and_counters(tmp_path):
    model = tmp_path / "m"
    model.write_bytes(b"")
    with running(model, tmp_path / "log", "--workers", "2", command=(FAKE,)) as service:
        for _ in range(10):
            assert service.score(png()).status_code == 200
        counted = [service.metrics()['ahl_images_total{outcome="scored"}'] for _ in range(6)]
        assert counted == [10.0] * 6, "whichever process is asked"
        assert service.stop() == 0
        assert not service.can_connect()
    assert "Traceback" not in (tmp_path / "log").read_text()


def workers(service):
    """The service's processes that answer requests, or will."""
    found = []
    for one in psutil.Process(service.process.pid).children():
        with contextlib.suppress(psutil.Error):  # it ends just now
            found += [one] if "spawn_main" in " ".join(one.cmdline()) else []
    return found


def opened(service, model):
    """Those that have opened the model."""
    return [one for one in workers(service) if model.with_name(f"opened by {one.pid}").exists()]


def test_a_worker_that_dies_while_the_model_is_gone_ends_no_other(tmp_path):
    model, log = tmp_path / "m", tmp_path / "log"
    model.write_bytes(b"")
    with running(model, log, "--workers", "2", command=(FAKE,)) as service:
        until(lambda: len(opened(service, model)) == 2)
        model.write_bytes(b"broken")
        killed, other = workers(service)
        killed.kill()
        until(lambda: log.read_text().count("is broken") >= 2)
        assert service.score(png()).status_code == 200
        assert "The others keep running; it is started again in 1 s." in log.read_text()
        model.write_bytes(b"")
        mended = time.time()
        until(lambda: any(one.create_time() > mended for one in workers(service)))
        other.kill()
        until(lambda: len([one for one in workers(service) if one.create_time() > mended]) == 2)
        until(lambda: can_score(service))
        assert service.stop() == 0
    assert "Traceback" not in log.read_text()


def test_without_any_worker_left_the_service_ends(tmp_path):
    model, log = tmp_path / "m", tmp_path / "log"
    model.write_bytes(b"")
    with running(model, log, "--workers", "2", command=(FAKE,)) as service:
        until(lambda: len(workers(service)) == 2)
        model.unlink()
        for one in workers(service):
            one.kill()
        assert service.process.wait(timeout=60) == 1
    assert "did not start" in log.read_text()


def test_processes_that_cannot_start_are_not_started_again(tmp_path):
    broken = tmp_path / "m"
    broken.write_bytes(b"broken")
    command = [sys.executable, FAKE, "serve", str(broken), "--port", "0", "--workers", "2"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 1
    assert "is broken" in result.stderr
    assert "did not start" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_worker_that_hangs_holds_up_no_stop(tmp_path):
    """Also one that hangs before it has begun to listen to signals."""
    model, log = tmp_path / "m", tmp_path / "log"
    model.write_bytes(b"")
    options = ("--workers", "2", "--timeout", "1")
    with running(model, log, *options, command=(FAKE,)) as service:
        until(lambda: len(opened(service, model)) == 2)
        workers(service)[0].suspend()
        began = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - began < 30
    assert "did not stop in 11 s, and was killed" in log.read_text()
    assert "Traceback" not in log.read_text()
