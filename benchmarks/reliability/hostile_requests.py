"""Requests that no client should send, and what a service says to them."""

from __future__ import annotations

import random
import re
import socket
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common import Service, serving
from mutants import damaged, image_files, image_mutants

LIMIT = 3.0
"""Seconds that the service gives a request in this run."""

PATIENCE = 30.0
"""Seconds after which a connection without an answer or an end counts as hung."""

Counts = dict[str, Counter[str]]


def requests(
    model: Path, count: int, slow: int, draw: random.Random, *, command: tuple[str, ...] = ()
) -> tuple[Counts, list[str]]:
    """Send them to a service of its own.

    Args:
        model: that is served.
        count: of requests made by hand, and of those made by schemathesis.
        slow: connections that dribble.
        draw: of the damage.
        command: other than `python -m ahl`.

    Returns:
        how many of each sort had which answer, and what went wrong.
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
    """Whether it still scores, and whether its log is free of faults."""
    good = image_files()["rgb.png"]
    sent = _raw(good)
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


def _head(*lines: str, path: str = "/v1/score", method: str = "POST") -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", "")).encode(
        "latin-1"
    )


def _raw(data: bytes, *, query: str = "", kind: str = "image/png") -> list[bytes]:
    return [
        _head(
            f"Content-Type: {kind}",
            f"Content-Length: {len(data)}",
            "Connection: close",
            path=f"/v1/score{query}",
        )
        + data
    ]


def _form(draw: random.Random) -> bytes:
    name = draw.choice(("a.png", "a.npy", "\x00", '"', "ü.png", "x" * 9000, "../../a", "", "a;b"))
    data = draw.choice([*image_files().values()])
    return (
        b'--b0\r\nContent-Disposition: form-data; name="images"; filename="%b"\r\n'
        b"Content-Type: image/png\r\n\r\n%b\r\n" % (name.encode(), data)
    )


def by_hand(draw: random.Random) -> tuple[str, list[bytes], str]:
    """Kind, pieces, and what the client does then: it waits, or says that it is done, or leaves."""
    kind = draw.choice([*KINDS])
    end = "wait" if draw.random() < 0.8 else "half-close"
    return kind, KINDS[kind](draw), "leave" if kind == "goes away" else end


def _damaged_image(draw: random.Random) -> list[bytes]:
    ((name, data),) = image_mutants(1, random.Random(draw.random()))
    name, data = draw.choice([*image_files().items()]) if draw.random() < 0.1 else (name, data)
    every = [*image_files().values()]
    query = draw.choice(("", "&why=1", "&heat_map=1", "&heat_map=raw&why=1&pictures=1"))
    return _raw(damaged(data, every, draw), query=f"?name={name}{query}")


def _damaged_form(draw: random.Random) -> list[bytes]:
    body = b"".join(_form(draw) for _ in range(draw.randint(1, 4))) + b"--b0--\r\n"
    body = damaged(body, [body], draw) if draw.random() < 0.8 else body
    content_type = draw.choice(
        (
            *["multipart/form-data; boundary=b0"] * 6,
            "multipart/form-data",
            "multipart/form-data; boundary=",
            'multipart/form-data; boundary="b0',
            f"multipart/form-data; boundary={'b' * 5000}",
            "multipart/form-data; boundary=b0; boundary=b1",
            "multipart/mixed; boundary=b0",
        )
    )
    return _raw(body, kind=content_type)


def _odd_length(draw: random.Random) -> list[bytes]:
    length = draw.choice(("-1", "0", "9" * 30, "1e3", "0x10", " 7 ", "+7", "", "7, 7", "7, 8", "٣"))
    lines = ["Content-Type: image/png", f"Content-Length: {length.encode().decode('latin-1')}"]
    if draw.random() < 0.3:
        lines.append(draw.choice(("Content-Length: 5", "Transfer-Encoding: chunked")))
    return [_head(*lines) + b"some bytes"]


def _odd_chunks(draw: random.Random) -> list[bytes]:
    bodies = (
        b"zz\r\n",
        b"-5\r\nabc",
        b"f" * 40 + b"\r\n",
        b"5\r\nab",
        b"5\r\nabcdefgh\r\n",
        b"\r\n",
    )
    extra = (b"1;" + b"x" * 70_000 + b"\r\na\r\n", b"0\r\nTrailer: x\r\n" * 2000, b"0\r\n\r\nGET")
    coding = draw.choice(("chunked", "chunked, chunked", "gzip", "identity", "xchunked", "\x0b"))
    return [
        _head("Content-Type: image/png", f"Transfer-Encoding: {coding}")
        + draw.choice(bodies + extra)
    ]


def _odd_head(draw: random.Random) -> list[bytes]:
    heads = (
        _head("X: " + "a" * draw.choice((10_000, 70_000, 300_000))),
        _head(*[f"X{n}: y" for n in range(draw.choice((99, 3000)))]),
        _head("Host: a", "Host: b"),
        _head("X: a\0b"),
        _head(": empty", "no colon at all"),
        _head("X-Request-ID: " + "é\t" * 40, path="/v1/model", method="GET"),
        _head("Authorization: Bearer " + "\xff" * 500, path="/metrics", method="GET"),
        _head(
            "Origin: " + draw.choice(("null", "http://[", "x" * 5000, "\x80")),
            path="/healthz",
            method="GET",
        ),
        _head("Expect: 100-continue", "Content-Length: 99"),
        _head("Upgrade: websocket", "Connection: Upgrade", method="GET"),
        _head("Content-Encoding: gzip", "Content-Length: 4") + b"\x1f\x8b\x08\x00",
        _head(
            "Content-Type: " + draw.choice(("", ";", "image/", "a" * 9000, "\xff/\xfe")),
            "Content-Length: 1",
        )
        + b"x",
    )
    return [draw.choice(heads)]


def _odd_line(draw: random.Random) -> list[bytes]:
    lines = (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /\r\n\r\n",
        b"\r\n" * 50,
        b"\0" * 5000,
        _head(method=draw.choice(("TRACE", "CONNECT", "PUT", "DELETE", "x" * 2000, "G\tT"))),
        _head(path="/" + "a" * draw.choice((5000, 100_000)), method="GET"),
        _head(
            path=draw.choice(
                (
                    "/%",
                    "/%00",
                    "//",
                    "/static/../../etc/passwd",
                    "/static/%2e%2e/%2e%2e/x",
                    "*",
                    "http://evil.example/v1/model",
                    "/\xff",
                )
            ),
            method="GET",
        ),
        b"GET /healthz HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /healthz HTTP/1.1\nHost: localhost\n\n" * 300,
        _head(path="/healthz", method="GET") * 200,
        draw.randbytes(draw.randint(1, 2000)),
    )
    return [draw.choice(lines)]


def _odd_query(draw: random.Random) -> list[bytes]:
    value = draw.choice(
        ("2", "", "true", "-1", "%00", "%ff", "a" * 20_000, "[]", "1&why=0", "%F0%9F%92%A9")
    )
    name = draw.choice(("why", "heat_map", "pictures", "name", "what", "%00"))
    return _raw(image_files()["rgb.png"], query=f"?{name}={value}")


def _half(draw: random.Random) -> list[bytes]:
    (whole,) = draw.choice((_damaged_form, _damaged_image))(draw)
    return [whole[: draw.randint(0, len(whole))]]


KINDS: dict[str, Callable[[random.Random], list[bytes]]] = {
    "damaged image": _damaged_image,
    "damaged form": _damaged_form,
    "odd length": _odd_length,
    "odd chunks": _odd_chunks,
    "odd headers": _odd_head,
    "odd request line": _odd_line,
    "odd query": _odd_query,
    "half a request": _half,
    "goes away": _half,
}


def _dribble(service: Service, slow: int) -> Counter[str]:
    """Connections that send a byte now and then, within the head or the body, or nothing at all."""
    body = _head("Content-Type: image/png", "Content-Length: 500")
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
    """Requests that fit and that do not fit the service's own description."""
    try:
        import schemathesis
    except ImportError:
        return Counter({"not installed": 0}), []
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis.errors import Unsatisfiable
    from schemathesis.checks import load_all_checks, response_schema_conformance

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
