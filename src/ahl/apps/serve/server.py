"""The application on a port: one process or several, until a signal asks it to stop."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final, cast

import uvicorn
from fastapi import FastAPI
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from ahl._common.errors import AHLError, ConfigurationError
from ahl.apps.serve.app import create_app
from ahl.apps.serve.connections import BACKLOG, Connection, allow_descriptors
from ahl.apps.serve.metrics import SHARED_FOLDER
from ahl.apps.serve.passes import open_passes
from ahl.apps.serve.settings import Settings
from ahl.apps.serve.worker import AGAIN

_LOGGER: Final = logging.getLogger("ahl.apps.serve")
_MINUTE: Final = 60.0
_MOST_ENDED: Final = 5  # processes within a minute, before the next has to wait
_GRACE: Final = 5.0  # seconds to write answers in, beyond what a request may take


def serve(settings: Settings, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP; what was accepted by then is answered.

    Args:
        settings: of the service.
        say: called with the line that says where the service listens, once it does.

    Raises:
        AHLError: if the address cannot be listened on, or the model cannot be opened.
    """
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    allow_descriptors(settings.limits.connections)
    with _bind(settings) as listener:
        address = f"http://{host}:{listener.getsockname()[1]}"
        if settings.workers == 1:
            server = uvicorn.Server(_config(_open_app(settings), settings))
            # uvicorn stops, puts these back, and raises the signal again: it shall not kill.
            for one in (signal.SIGTERM, signal.SIGINT):
                signal.signal(one, lambda *_: None)
            if hasattr(signal, "SIGHUP"):  # of a terminal that closes
                signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
            _listen(listener, settings)
            say(f"Serving on {address}")
            server.run(sockets=[listener])
            return
        _listen(listener, settings)
        say(
            f"Starting {settings.workers} processes on {address}; /readyz answers 200 when they "
            "are ready"
        )
        with tempfile.TemporaryDirectory(prefix="ahl-metrics-") as folder:
            os.environ[SHARED_FOLDER] = folder
            processes = _Processes(_config(partial(_open_or_exit, settings), settings), [listener])
            processes.run()
        if processes.failed:
            raise AHLError("The service did not start.")


def _open_app(settings: Settings) -> FastAPI:
    return create_app(open_passes(settings), settings)


def _open_or_exit(settings: Settings) -> FastAPI:
    """Open the model in a worker process; a failure is printed and ends the process."""
    try:
        return _open_app(settings)
    except AHLError as error:
        sys.stderr.write(f"ahl: {error}\n")
    except Exception:
        _LOGGER.exception("The service could not be started.")
    raise SystemExit(STARTUP_FAILURE)


class _Processes(Multiprocess):
    """uvicorn's processes, which refuse connections as soon as they stop."""

    failed = False

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self._ended: dict[Process, float] = {}  # when processes ended, of late
        self._again = -math.inf  # when an ended one may be replaced

    def keep_subprocess_alive(self) -> None:
        """Replace processes that ended; end the service if all have and keep failing.

        A process that cannot start, since the model file is gone say, is tried again later, where
        uvicorn would end the others too. uvicorn's ping is left out, since a process that is
        loading its model answers late; /healthz is for that.
        """
        if self.should_exit.is_set():
            return
        now = time.monotonic()
        dead = [place for place, one in enumerate(self.processes) if one.exitcode is not None]
        for place in dead:
            if (process := self.processes[place]) not in self._ended:
                self._on_end(process, now, alone=len(dead) == len(self.processes))
        if now < self._again:
            self.failed = len(dead) == len(self.processes)
            if self.failed:
                self.should_exit.set()
            return
        for place in dead:
            self.processes[place] = Process(self.config, self.sockets)
            self.processes[place].start()

    def _on_end(self, process: Process, now: float, *, alone: bool) -> None:
        assert process.pid is not None
        mark_process_dead(process.pid)  # type: ignore[no-untyped-call]
        recent = [one for one, at in self._ended.items() if now - at < _MINUTE]
        kept = {*recent, *self.processes}
        self._ended = {one: at for one, at in self._ended.items() if one in kept} | {process: now}
        later = ""
        if process.exitcode == STARTUP_FAILURE or len(recent) >= _MOST_ENDED:
            self._again = now + AGAIN
            later = (
                "" if alone else (f" The others keep running; it is started again in {AGAIN:g} s.")
            )
        _LOGGER.error("Process %s ended.%s", process.pid, later)

    def handle_hup(self) -> None:
        """Stop, as a single process does on SIGHUP; uvicorn would restart the processes."""
        self.handle_term()

    def terminate_all(self) -> None:
        for listener in self.sockets:
            listener.close()
        super().terminate_all()

    def join_all(self) -> None:
        """Wait for the processes, and kill those that take longer than answers may: they hang."""
        seconds = (self.config.timeout_graceful_shutdown or 0) + _GRACE
        until = time.monotonic() + seconds
        for one in self.processes:
            one.process.join(max(0.0, until - time.monotonic()))
            if one.exitcode is None:
                _LOGGER.error("Process %s did not stop in %g s, and was killed.", one.pid, seconds)
                one.kill()
                one.join()


def _config(app: FastAPI | partial[FastAPI], settings: Settings) -> uvicorn.Config:
    limits, seconds = settings.limits, settings.limits.seconds
    return uvicorn.Config(
        app,
        factory=settings.workers > 1,
        workers=settings.workers,
        http=cast(type[asyncio.Protocol], partial(Connection, seconds, limits.connections)),
        lifespan="on",
        ws="none",
        access_log=False,
        log_config=None,
        log_level="error",  # any client could fill the log with its bad requests
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=math.ceil(seconds),  # no shorter than what `Connection` waits
        timeout_graceful_shutdown=math.ceil(seconds + _GRACE),
    )


def _bind(settings: Settings) -> socket.socket:
    """Bind the port, without listening, so that a wrong one is known before the model is opened."""
    listener = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        with _refused(settings):
            listener.bind((settings.host, settings.port))
    except ConfigurationError:
        listener.close()
        raise
    return listener


def _listen(listener: socket.socket, settings: Settings) -> None:
    """Begin to listen, once the model is open: another service may have come first."""
    with _refused(settings):
        listener.listen(BACKLOG)


@contextmanager
def _refused(settings: Settings) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"Cannot listen on {settings.host}, port {settings.port}: {error.strerror}. "
            "Choose others with --host and --port."
        ) from None
