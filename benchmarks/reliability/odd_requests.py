"""Requests made by hand that no client should send."""

from __future__ import annotations

import random
from collections.abc import Callable

from mutants import damaged, image_files, image_mutants


def head(*lines: str, path: str = "/v1/score", method: str = "POST") -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", "")).encode(
        "latin-1"
    )


def raw(data: bytes, *, query: str = "", kind: str = "image/png") -> list[bytes]:
    return [
        head(
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
    """A random request: kind, pieces, and how the client ends (waits, half-closes or leaves)."""
    kind = draw.choice([*KINDS])
    end = "wait" if draw.random() < 0.8 else "half-close"
    return kind, KINDS[kind](draw), "leave" if kind == "goes away" else end


def _damaged_image(draw: random.Random) -> list[bytes]:
    ((name, data),) = image_mutants(1, random.Random(draw.random()))
    name, data = draw.choice([*image_files().items()]) if draw.random() < 0.1 else (name, data)
    every = [*image_files().values()]
    query = draw.choice(("", "&why=1", "&heat_map=1", "&heat_map=raw&why=1&pictures=1"))
    return raw(damaged(data, every, draw), query=f"?name={name}{query}")


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
    return raw(body, kind=content_type)


def _odd_length(draw: random.Random) -> list[bytes]:
    length = draw.choice(("-1", "0", "9" * 30, "1e3", "0x10", " 7 ", "+7", "", "7, 7", "7, 8", "٣"))
    lines = ["Content-Type: image/png", f"Content-Length: {length.encode().decode('latin-1')}"]
    if draw.random() < 0.3:
        lines.append(draw.choice(("Content-Length: 5", "Transfer-Encoding: chunked")))
    return [head(*lines) + b"some bytes"]


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
        head("Content-Type: image/png", f"Transfer-Encoding: {coding}")
        + draw.choice(bodies + extra)
    ]


def _odd_head(draw: random.Random) -> list[bytes]:
    heads = (
        head("X: " + "a" * draw.choice((10_000, 70_000, 300_000))),
        head(*[f"X{n}: y" for n in range(draw.choice((99, 3000)))]),
        head("Host: a", "Host: b"),
        head("X: a\0b"),
        head(": empty", "no colon at all"),
        head("X-Request-ID: " + "é\t" * 40, path="/v1/model", method="GET"),
        head("Authorization: Bearer " + "\xff" * 500, path="/metrics", method="GET"),
        head(
            "Origin: " + draw.choice(("null", "http://[", "x" * 5000, "\x80")),
            path="/healthz",
            method="GET",
        ),
        head("Expect: 100-continue", "Content-Length: 99"),
        head("Upgrade: websocket", "Connection: Upgrade", method="GET"),
        head("Content-Encoding: gzip", "Content-Length: 4") + b"\x1f\x8b\x08\x00",
        head(
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
        head(method=draw.choice(("TRACE", "CONNECT", "PUT", "DELETE", "x" * 2000, "G\tT"))),
        head(path="/" + "a" * draw.choice((5000, 100_000)), method="GET"),
        head(
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
        head(path="/healthz", method="GET") * 200,
        draw.randbytes(draw.randint(1, 2000)),
    )
    return [draw.choice(lines)]


def _odd_query(draw: random.Random) -> list[bytes]:
    value = draw.choice(
        ("2", "", "true", "-1", "%00", "%ff", "a" * 20_000, "[]", "1&why=0", "%F0%9F%92%A9")
    )
    name = draw.choice(("why", "heat_map", "pictures", "name", "what", "%00"))
    return raw(image_files()["rgb.png"], query=f"?{name}={value}")


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
