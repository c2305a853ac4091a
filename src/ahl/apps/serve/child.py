"""A function in a child process, which is ended when a call takes too long."""

from __future__ import annotations

import contextlib
import functools
import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING, Any, Final

from ahl._common.errors import AHLError, ProcessError
from ahl._common.process_settings import settle_process
from ahl._common.text import first_line

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext

Made = tuple[Any, Callable[..., Any]]
"""Values that a maker reports, and the function that it made."""

_LOGGER: Final = logging.getLogger("ahl.apps.serve")
_STARTING: Final = 60.0  # seconds that a process may take until it can be called
_ENDING: Final = 10.0  # seconds to wait for a killed process to end
_CLOSING: Final = 2.0  # seconds that a start in progress holds up the end of all


class LateError(ProcessError):
    """A call took too long, and its process was ended."""


class Child:
    """A function in a child process; called from one thread at a time.

    The process starts with the first call, and again with the next call after it has ended. It
    ends when its parent does.

    Args:
        make: called in the child process with the arguments; makes the function.
        arguments: of `make`. All of this can be pickled.
    """

    def __init__(self, make: Callable[..., Made], *arguments: object) -> None:
        self._make, self._arguments = make, arguments
        self._lock = threading.Lock()
        self._running: tuple[BaseProcess, Connection, Finalize[None]] | None = None
        self._closed = False

    def start(self, seconds: float = _STARTING) -> Any:  # noqa: ANN401 - whatever `make` tells
        """Start the process; one that is running is ended first.

        Returns:
            the values that `make` reports.

        Raises:
            ProcessError: if the process ends or needs longer, or `make` raises a foreign error.
            AHLError: whatever `make` raises.
        """
        self.end()
        context = _context()
        here, there = context.Pipe()
        process = context.Process(
            target=_run, args=(there, self._make, self._arguments), daemon=True
        )
        with self._lock:
            if self._closed:
                raise ProcessError("the service stops")
            try:
                with _unless_hanging(seconds):
                    process.start()
            except (EOFError, ConnectionError):  # the server ended
                here.close()
                raise ProcessError("no process could be started") from None
            finally:
                there.close()
            # This process, when it ends, would else ask the other one to end, and wait.
            at_exit = Finalize(None, _kill, args=(process.pid,), exitpriority=0)
            self._running = process, here, at_exit
        return self._receive(seconds)

    def call(self, seconds: float, *arguments: object) -> Any:  # noqa: ANN401 - of any function
        """Call the function.

        Raises:
            LateError: if it takes longer than so many seconds; the process is ended.
            ProcessError: if the process ends by itself, or the function raises a foreign error.
            AHLError: whatever the function raises.
        """
        if self._running is None:
            self.start()
        assert self._running is not None
        with contextlib.suppress(OSError):  # it has ended, as is found out below
            self._running[1].send(arguments)
        return self._receive(seconds)

    def close(self) -> None:
        """End the process for good, from any thread; a call in progress raises ProcessError."""
        self._closed = True
        with _unless_hanging(_CLOSING), self._lock:  # held while a process is being started
            if self._running is not None:
                self._running[2]()

    def _receive(self, seconds: float) -> Any:  # noqa: ANN401 - whatever comes
        assert self._running is not None
        connection = self._running[1]
        try:
            late = LateError(f"it takes longer than {seconds:g} s"), None
            error, value = connection.recv() if connection.poll(seconds) else late
            ended = isinstance(error, LateError)
        except (EOFError, OSError):
            error, value, ended = ProcessError("the process that worked on it ended"), None, True
        if ended:
            self.end()
        if error is not None:
            raise error
        return value

    @property
    def running(self) -> bool:
        """False before the first call, and after the process ended."""
        return self._running is not None

    def end(self) -> None:
        """End the process, until the next call."""
        if self._running is not None:
            process, connection, at_exit = self._running
            at_exit()
            connection.close()
            with _unless_hanging(_ENDING):
                process.join()
            self._running = None


@functools.cache
def _context() -> ForkServerContext | SpawnContext:
    """The forkserver, whose processes start fast; spawn where there is no folder for its socket."""
    try:
        tempfile.gettempdir()
        context = multiprocessing.get_context("forkserver")
    except (FileNotFoundError, ValueError):
        return multiprocessing.get_context("spawn")
    context.set_forkserver_preload(["ahl.scoring.overlay"])  # with numpy and Pillow
    Finalize(None, _end_server, exitpriority=0)  # this process, when it ends, waits for its others
    return context


@contextlib.contextmanager
def _unless_hanging(seconds: float) -> Iterator[None]:
    """End the fork server if the block, which waits for it, takes longer than so many seconds.

    The next process starts another server; processes that are running go on.
    """
    timer = threading.Timer(seconds, _end_server)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()  # a start that follows must not take a server that is ending for a live one


def _end_server() -> None:
    """End the fork server, and wait until it has ended: its connections close a moment before."""
    module = sys.modules.get("multiprocessing.forkserver")  # not to be had on Windows
    pid = getattr(getattr(module, "_forkserver", None), "_forkserver_pid", None)
    _kill(pid)
    if pid is not None and hasattr(os, "waitid"):  # macOS has it from Python 3.13 on
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # the module itself collects it


def _kill(pid: int | None) -> None:
    """Kill a process of ours; `Process.kill` does nothing once its fork server has ended."""
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))


def _run(connection: Connection, make: Callable[..., Made], arguments: tuple[object, ...]) -> None:
    """Make the function in the child process, and answer calls until the parent closes."""
    settle_process()
    for one in (signal.SIGINT, signal.SIGTERM):  # for all of a group; it ends with the service
        signal.signal(one, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError, OSError):
        error, made = _tried(make, arguments)
        name, function = made or (None, None)
        connection.send((error, name))
        while function is not None:
            connection.send(_tried(function, connection.recv()))


def _tried(
    function: Callable[..., Any], arguments: tuple[object, ...]
) -> tuple[Exception | None, Any]:
    """The error raised, or the value returned; a foreign error, which may not pickle, by its words.

    Returns:
        error and value, one of them None.
    """
    try:
        return None, function(*arguments)
    except AHLError as error:
        return error, None
    except Exception as error:
        _LOGGER.exception("A process of the service failed.")
        return ProcessError(first_line(error)), None


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
