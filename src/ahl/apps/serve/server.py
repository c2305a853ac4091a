"""The application on a port: one process or several, until a signal asks it to stop."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import tempfile
import time
from asyncio import Protocol
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, cast

import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from ahl._common.errors import AHLError, ConfigurationError
from ahl.apps.serve.app import create_app
from ahl.apps.serve.metrics import SHARED_FOLDER
from ahl.apps.serve.protocol import ImpatientProtocol
from ahl.apps.serve.settings import Settings
from ahl.scoring.opening import open_scorers

_LOGGER: Final = logging.getLogger("ahl.apps.serve")
_MINUTE: Final = 60.0
_MOST_ENDED: Final = 5  # processes within a minute, before another would end as they did
_GRACE: Final = 5.0  # seconds to write answers in, beyond what a request may take
_KEPT_ALIVE: Final = 30  # seconds that a connection may be idle


def serve(settings: Settings, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; what was accepted by then is answered.

    Args:
        settings: of the service.
        say: hears where it listens, once it does.

    Raises:
        AHLError: if the address cannot be had, or the model not be opened.
    """
    listener = _bind(settings)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"http://{host}:{listener.getsockname()[1]}"
    with listener:
        if settings.workers == 1:
            app = open_app(settings)
            server = _Server(_config(app, settings), lambda: say(f"Serving on {address}"))
            # uvicorn stops, puts these back, and raises the signal again: it shall not kill.
            for one in (signal.SIGTERM, signal.SIGINT):
                signal.signal(one, lambda *_: None)
            server.run(sockets=[listener])
            return
        say(f"Starting {settings.workers} processes on {address}; /readyz tells when they answer")
        with tempfile.TemporaryDirectory(prefix="ahl-metrics-") as folder:
            os.environ[SHARED_FOLDER] = folder
            processes = _Processes(_config(Application(settings), settings), [listener])
            processes.run()
        if processes.failed:
            raise AHLError("The service did not start.")


def open_app(settings: Settings) -> FastAPI:
    """Open the model and put it behind HTTP."""
    scorers = open_scorers(
        settings.model,
        device=settings.device,
        threads=settings.worker_threads,
        passes=settings.passes,
    )
    return create_app(scorers, settings)


@dataclass(frozen=True)
class Application:
    """Opens the model in the process that serves it; travels to it.

    Attributes:
        settings: of the service.
    """

    settings: Settings

    def __call__(self) -> FastAPI:
        """The application; a failure ends the process so that it is not started again."""
        try:
            return open_app(self.settings)
        except AHLError as error:
            sys.stderr.write(f"ahl: {error}\n")
        except Exception:
            _LOGGER.exception("The service could not be started.")
        raise SystemExit(STARTUP_FAILURE)


class _Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._say_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._say_started()


class _Processes(Multiprocess):
    """Lets nobody connect any more as soon as it stops, and remembers whether it started."""

    failed = False

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self.ended: list[float] = []  # when processes ended, of late

    def keep_subprocess_alive(self) -> None:
        # Not asked whether they answer, as uvicorn does: one that loads its model is busy for long,
        # and one that failed to would be waited for. /healthz is for that.
        for place, process in enumerate(self.processes):
            if process.exitcode is None or self.should_exit.is_set():
                continue
            if process.exitcode == STARTUP_FAILURE:
                self.failed = True
                self.should_exit.set()
                return
            self.ended = [at for at in self.ended if time.monotonic() - at < _MINUTE]
            self.ended.append(time.monotonic())
            if len(self.ended) > _MOST_ENDED:
                _LOGGER.error("%d processes ended within a minute; giving up.", len(self.ended))
                self.failed = True
                self.should_exit.set()
                return
            _LOGGER.error("Process %s ended; another takes its place.", process.pid)
            self.processes[place] = Process(self.config, self.sockets)
            self.processes[place].start()

    def terminate_all(self) -> None:
        for listener in self.sockets:
            listener.close()
        super().terminate_all()


def _config(app: FastAPI | Application, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        factory=isinstance(app, Application),
        workers=settings.workers,
        http=cast(type[Protocol], partial(ImpatientProtocol, settings.limits.seconds)),
        lifespan="on",
        ws="none",
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        limit_concurrency=settings.limits.connections,
        timeout_keep_alive=_KEPT_ALIVE,
        timeout_graceful_shutdown=round(settings.limits.seconds + _GRACE),
    )


def _bind(settings: Settings) -> socket.socket:
    """Take the port, so that a wrong one is known before the model is opened; not yet listening."""
    try:
        found = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise ConfigurationError(
            f"Cannot listen on {settings.host}, port {settings.port}: {error.strerror}. "
            "Choose others with --host and --port."
        ) from None
    return listener
