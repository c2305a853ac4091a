"""Floods a service by clients without the token, and measures its health check meanwhile.

    python benchmarks/reliability/floods.py
    python benchmarks/reliability/floods.py --model parts.onnx --seconds 5

Each flood lasts some seconds: refused bodies in chunks of one byte; heads and trailers that do not
end; requests without end on one connection; more idle connections than may be open.
Meanwhile another client asks /healthz, each time on a connection of its own. The exit status is 1
if it waits longer than 2 seconds, or the service writes a traceback.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

from common import Service, serving, tell, train
from odd_requests import head

TOKEN = "0123456789abcdef0123456789abcdef"
PATIENCE = 2.0
"""Seconds that an answer of /healthz may take."""

_CHUNKED = head("Transfer-Encoding: chunked")
FLOODS: dict[str, tuple[int, bytes, bytes]] = {
    "chunks of one byte": (8, _CHUNKED, b"1\r\nx\r\n" * 10_000),
    "a chunk's extension": (8, _CHUNKED + b"1;", b"x" * 60_000),
    "trailers": (8, _CHUNKED + b"0\r\n", b"a:\r\n" * 15_000),
    "a head without an end": (8, b"GET / HTTP/1.1\r\n", b"a: b\r\n" * 10_000),
    "pipelined": (8, b"", head(path="/x", method="GET") * 2000),
}
"""Number of connections, the bytes that each begins with, and those that it repeats."""


def pour(port: int, begin: bytes, more: bytes, until: float) -> None:
    """Send without reading, on one connection after another."""
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as one:
            one.sendall(begin)
            while time.monotonic() < until:
                one.sendall(more)


def crowd(port: int, connections: int, until: float) -> None:
    """Open connections and leave them idle, closing the first for each further one."""
    opened: list[socket.socket] = []
    for number in itertools.count():
        if time.monotonic() > until:
            break
        with contextlib.suppress(OSError):
            opened.append(socket.create_connection(("127.0.0.1", port), 5))
        if len(opened) > connections:
            opened[number % connections].close()
            opened[number % connections] = opened.pop()
    for one in opened:
        one.close()


def ask(port: int) -> float:
    """Seconds until /healthz answers 200."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), 30) as one:
        one.sendall(head("Connection: close", path="/healthz", method="GET"))
        answer = one.recv(1000)
    if not answer.startswith(b"HTTP/1.1 200"):
        raise OSError(f"/healthz answers {answer[:40]!r}")
    return time.monotonic() - began


def flood(
    service: Service, seconds: float, connections: int, patience: float = PATIENCE
) -> tuple[dict[str, float], list[str]]:
    """Flood a service in every way; return /healthz's longest waits in seconds, and faults."""
    waits: dict[str, float] = {}
    faults: list[str] = []
    port = service.port
    ways = {name: (count, pour, one) for name, (count, *one) in FLOODS.items()}
    for name, (count, way, given) in {**ways, "idle": (1, crowd, [connections])}.items():
        until, waits[name] = time.monotonic() + seconds, 0.0
        threads = [threading.Thread(target=way, args=(port, *given, until)) for _ in range(count)]
        for thread in threads:
            thread.start()
        while time.monotonic() < until:
            try:
                waits[name] = max(waits[name], round(ask(port), 2))
            except OSError as error:
                faults.append(f"{name}: {error}")
            time.sleep(0.05)
        for thread in threads:
            thread.join()
        if waits[name] > patience:
            faults.append(f"{name}: /healthz took {waits[name]} s")
    if "Traceback" in (log := service.log.read_text()):
        faults.append(log[log.index("Traceback") :][:3000])
    return waits, faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", type=Path, help="instead of a small one")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each flood")
    parser.add_argument("--connections", type=int, default=700, help="idle ones")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        token = Path(name) / "token"
        token.write_text(TOKEN)
        token.chmod(0o600)
        with serving(options.model or train(Path(name)), "--token-file", token) as service:
            waits, faults = flood(service, options.seconds, options.connections)
    return tell({"longest wait for /healthz, s": waits}, faults)


if __name__ == "__main__":
    sys.exit(main())
