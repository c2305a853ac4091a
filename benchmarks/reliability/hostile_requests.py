"""Requests that no client should send, and a service's answers to them."""

from __future__ import annotations

import random
import re
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common import Service, serving
from odd_requests import by_hand, head, raw

from mutants import image_files

LIMIT = 3.0
"""Seconds that the service gives a request in this run."""

PATIENCE = 30.0
"""Seconds after which a connection without an answer or an end counts as hung."""

Counts = dict[str, Counter[str]]


def requests(
    model: Path, count: int, slow: int, draw: random.Random, *, command: tuple[str, ...] = ()
) -> tuple[Counts, list[str]]:
    """Start a service and send it odd requests.

    Args:
        model: the model file that is served.
        count: number of requests by hand, and of those by schemathesis.
        slow: number of connections that dribble.
        draw: source of the random damage.
        command: Python's arguments that start `ahl`; empty for `-m ahl`.

    Returns:
        number of answers by kind of request and status, and faults.
    """
    counts: Counts = {}
    faults: list[str] = []
    options = ("--timeout", LIMIT, "--max-image-mib", 1, "--max-request-mib", 2)
    with serving(model, *options, **({"command": command} if command else {})) as service:
        with ThreadPoolExecutor(8) as pool:
            wire = [by_hand(draw) for _ in range(count)]
            done = list(pool.map(lambda one: _exchange(service.port, one[1], one[2]), wire))
        for (kind, *_), status in zip(wire, done, strict=True):
            counts.setdefault(kind, Counter())[status] += 1
            if status[0] == "5" or status == "hang":
                faults.append(f"{kind}: {status}")
        counts["dribbling"] = _dribble(service, slow)
        if counts["dribbling"]["hang"]:
            faults.append(f"{counts['dribbling']['hang']} connections dribble for ever")
        counts["schemathesis"], wrong = _by_schemathesis(service, count)
        faults += wrong
        faults += _alive(service)
    return counts, faults


def _alive(service: Service) -> list[str]:
    """Faults of a service that no longer scores, has ended, or wrote a traceback."""
    good = image_files()["rgb.png"]
    sent = raw(good)
    faults = []
    if _exchange(service.port, sent, "wait") != "200":
        faults.append("a good image is no longer scored")
    if service.process.poll() is not None:
        faults.append(f"the service ended with {service.process.poll()}")
    log = service.log.read_text()
    faults += re.findall(r"Traceback[\s\S]{0,800}", log)[:5]
    return faults


def _exchange(port: int, pieces: list[bytes], end: str) -> str:
    """Status of the first answer; `closed` without one; `hang`."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            try:
                for piece in pieces:
                    connection.sendall(piece)
                if end == "leave":
                    return "left"
                if end == "half-close":
                    connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it was closed on the way; there may be an answer yet
            answer = connection.recv(65536)
            found = re.match(rb"HTTP/1\.[01] (\d+)", answer)
            return found[1].decode() if found else "closed"
    except TimeoutError:
        return "hang"
    except OSError:
        return "closed"


def _dribble(service: Service, slow: int) -> Counter[str]:
    """Hold connections open that send a byte now and then, or nothing; count how they end."""
    body = head("Content-Type: image/png", "Content-Length: 500")
    started = [(b"POST /v1/score HTTP/1.1\r\nHost: loc", b"x"), (body, b"y"), (b"", b"")]
    ends: Counter[str] = Counter()
    open_ones: list[tuple[socket.socket, bytes]] = []
    for number in range(slow):
        begin, more = started[number % len(started)]
        connection = socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE)
        connection.sendall(begin)
        open_ones.append((connection, more))
    until = time.monotonic() + 5 * LIMIT
    while open_ones and time.monotonic() < until:
        time.sleep(0.3)
        for connection, more in [*open_ones]:
            try:
                connection.sendall(more)
                connection.setblocking(False)
                told = connection.recv(4096)
                ends[told[9:12].decode() if told else "closed"] += 1
            except BlockingIOError:
                connection.settimeout(PATIENCE)
                continue
            except OSError:
                ends["closed"] += 1
            connection.close()
            open_ones.remove((connection, more))
    for connection, _ in open_ones:
        ends["hang"] += 1
        connection.close()
    return ends


def _by_schemathesis(service: Service, count: int) -> tuple[Counter[str], list[str]]:
    """Send requests that match the service's OpenAPI description, and ones that do not."""
    try:
        import schemathesis
    except ImportError:
        return Counter({"not installed": 0}), []
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis.errors import Unsatisfiable
    from schemathesis.checks import response_schema_conformance

    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{service.port}/openapi.json")
    told: Counter[str] = Counter()
    faults: list[str] = []
    operations = [one.ok() for one in schema.get_all_operations()]
    for operation in operations:
        share = count // 2 // 2 if "score" in operation.path else count // 4 // len(operations)
        for mode in schemathesis.GenerationMode:

            @settings(
                max_examples=max(1, share),
                deadline=None,
                derandomize=True,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=[*HealthCheck],
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case: schemathesis.Case) -> None:
                answer = case.call(timeout=PATIENCE)
                told[f"{case.method} {case.path} {answer.status_code}"] += 1
                if answer.status_code >= 500:
                    faults.append(f"{case.as_curl_command()}: {answer.status_code}")
                try:
                    case.validate_response(answer, checks=[response_schema_conformance])
                except AssertionError as error:
                    faults.append(f"{case.as_curl_command()[:300]}: {str(error)[:300]}")

            try:
                ask()
            except Unsatisfiable:
                continue  # what has no parameters cannot be asked wrongly
            except Exception as error:
                faults.append(f"schemathesis: {operation.path!s}: {error!r}"[:500])
    return told, faults
