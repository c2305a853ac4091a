"""`ahl serve` as it runs: its own process, a port, sockets, signals."""

import contextlib
import io
import json
import re
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fakes import png
from PIL import Image
from running import FAKE, answer_on, can_score, running, until

from ahl._common.errors import ConfigurationError
from ahl.apps.serve import server
from ahl.apps.serve.settings import Settings
from commands import run
from reliability_runs import module

HEAD = "POST /v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"


@pytest.mark.parametrize("options", [(), ("--threads", "2", "--passes", "2")], ids=["one", "two"])
def test_what_was_accepted_is_answered_before_it_stops(options, model, inspection_folder, tmp_path):
    images = sorted((inspection_folder / "dot").iterdir())
    contents = [image.read_bytes() for image in images]
    lines = run("predict", model, *images, "--json", "--threads", 1).stdout.splitlines()
    expected = [pytest.approx(json.loads(line)["score"], rel=1e-5) for line in lines]
    with running(model, tmp_path / "log", "--access-log", *options) as service:
        with ThreadPoolExecutor(6) as pool:  # many at once, and the scores of the command
            answers = list(pool.map(service.score, contents * 5))
        assert [a.json()["images"][0]["score"] for a in answers] == expected * 5
        halves = []
        for content in contents:  # accepted, but half of the body is still to come
            head = f"{HEAD}Content-Length: {len(content)}\r\n\r\n".encode()
            halves.append(service.connect(head + content[: len(content) // 2]))
        until(lambda: service.metrics()["ahl_waiting_images"] == len(contents))
        service.process.send_signal(signal.SIGTERM)
        until(lambda: not service.can_connect())
        for connection, content in zip(halves, contents, strict=True):
            connection.sendall(content[len(content) // 2 :])
        late = [answer_on(connection) for connection in halves]
        assert [status for status, _ in late] == [200] * len(contents)
        assert [told["images"][0]["score"] for _, told in late] == expected
        assert service.process.wait(timeout=60) == 0
    text = (tmp_path / "log").read_text()
    assert "Traceback" not in text
    logged = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    scored = [line for line in logged if line["path"] == "/v1/score"]
    assert [line["status"] for line in scored] == [200] * 6 * len(contents)


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    """One with limits, on the fake scorer, and its log."""
    folder = tmp_path_factory.mktemp("limited")
    (folder / "m").write_bytes(b"")
    options = ("--max-request-mib", "1", "--max-image-mib", "1", "--timeout", "1")
    with running(folder / "m", folder / "log", *options, command=(FAKE,)) as found:
        yield found, folder / "log"


@pytest.fixture
def service(limited):
    return limited[0]


def test_hostile_connections_are_no_fault_of_the_service(service):
    content, chunked = png(50), f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode()
    # A length that promises more than comes, and the connection's end.
    service.connect(f"{HEAD}Content-Length: 9999\r\n\r\n".encode() + content).close()
    for sent, status in (
        (f"{HEAD}Content-Length: 9999\r\n\r\n".encode() + content, 408),  # it stays open
        (f"{HEAD}Content-Length: 99999999\r\n\r\n".encode() + bytes(100), 413),
        (chunked + (b"10000\r\n" + bytes(0x10000) + b"\r\n") * 20 + b"0\r\n\r\n", 413),
    ):
        told, answer = answer_on(service.connect(sent))
        assert told == status
        assert answer["error"]["message"]
    for sent in (
        chunked + b"xyz\r\n",
        f"{HEAD}Content-Length: 10\r\n\r\n".encode() + content,  # the rest is no request
        # Of two lengths a proxy may believe the other: a request could hide in the difference.
        f"{HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".encode(),
        (HEAD + "X: y\r\n" * 200 + "\r\n").encode(),
        f"{HEAD}\r\n".encode() * 40,
    ):
        with service.connect(sent) as malformed, malformed.makefile("rb") as file:
            assert b" 400 " in file.readline()
    for sent in (f"{HEAD}X: {'y' * 400_000}".encode(), chunked + b"1\r\nx\r\n" * 5000):
        endless = service.connect(sent)
        with endless, contextlib.suppress(ConnectionResetError):
            assert endless.recv(1) == b""
    until(lambda: service.metrics()["ahl_waiting_images"] == 0)
    assert not any('status="500"' in name for name in service.metrics())
    assert service.score(content).json()["images"][0]["score"] == 50.0


@pytest.mark.parametrize("begun", [b"", b"POST /v1/score HT", b"GET /healthz HTTP/1.1\r\nHost: a"])
def test_who_does_not_come_to_the_point_is_shown_out(service, begun):
    with service.connect(begun) as fresh:  # uvicorn alone would wait for ever
        assert fresh.recv(1) == b""
    whole = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    if begun:
        with service.connect(whole) as kept:
            answer = b""
            while not answer.endswith(b"}"):
                answer += kept.recv(65536)
            kept.sendall(begun)
            assert kept.recv(1) == b""
    assert service.score(png(50)).status_code == 200


@pytest.mark.parametrize("behind", [b"", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"])
def test_an_answer_that_is_not_taken_is_forgotten(service, behind):
    """The rest of it would stay in memory for as long as its client likes."""
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, format="JPEG", quality=10)
    part = b'--x\r\nContent-Disposition: form-data; name=a; filename="a"\r\n\r\n'
    body = (part + file.getvalue() + b"\r\n") * 2 + b"--x--\r\n"
    head = (
        "POST /v1/score?heat_map=overlay HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    for seconds in (3, 9, 27):  # --timeout is 1; the machine may be busy
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", service.port))
            connection.sendall(head.encode() + body + behind)
            with connection.makefile("rb") as answer:
                if b" 503 " in answer.readline():  # not scored within --timeout
                    continue
                time.sleep(seconds)
                length = int(re.search(rb"content-length: (\d+)", answer.read(200))[1])
                try:
                    taken = len(answer.read(length))
                except ConnectionResetError:
                    return
                if taken < length - 1000:
                    return
    raise AssertionError("all of it was kept")


def test_floods_of_clients_without_a_token_leave_the_service_responsive(tmp_path):
    floods, common = module("floods"), module("common")
    (tmp_path / "m").write_bytes(b"")
    (tmp_path / "token").write_text(floods.TOKEN)
    (tmp_path / "token").chmod(0o600)
    options = ("--token-file", tmp_path / "token", "--max-connections", 300)
    with common.serving(tmp_path / "m", *options, command=(FAKE,)) as flooded:
        waits, faults = floods.flood(flooded, 2.0, connections=400, patience=8.0)
    assert faults == []
    assert set(waits) == {*floods.FLOODS, "idle"}


def test_a_refusal_reaches_who_goes_on_sending(service):
    head = f"{HEAD}Content-Length: 99999999\r\n\r\n".encode()
    with service.connect(head + bytes(100)) as connection, connection.makefile("rb") as file:
        assert b" 413 " in file.readline(), "at once, though most of the body is still to come"
        for _ in range(4):  # slower than the service reads, which goes on reading
            time.sleep(0.2)
            connection.sendall(bytes(1000))
        length = 0
        while line := file.readline().strip().lower():
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        assert b"too_large" in file.read(length), "at once, though the end is still to come"


def test_none_of_this_left_a_traceback(limited):
    service, log = limited
    assert service.stop() == 0
    assert "Traceback" not in log.read_text()


def test_a_service_that_cannot_start_says_why(model, tmp_path):
    assert "--token-file" in run("serve", model, "--host", "0.0.0.0", code=2).output
    token = tmp_path / "token"
    token.write_text("")
    token.chmod(0o600)
    assert "is empty" in run("serve", model, "--token-file", token, code=2).output
    review = ("--feedback-dir", token / "in-a-file", "--port", 0)
    assert "cannot be written to" in run("serve", model, *review, code=2).output
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert "Cannot listen" in run("serve", model, "--port", port, code=2).output
    broken = tmp_path / "broken.ahl"
    broken.write_bytes(model.read_bytes()[:1000])
    assert "truncated" in run("serve", broken, "--port", 0, code=1).output


def test_of_two_services_that_open_their_models_at_once_one_has_the_port(tmp_path):
    settings = Settings(model=tmp_path / "m", port=0)
    with server._bind(settings) as first:
        settings = Settings(model=tmp_path / "m", port=first.getsockname()[1])
        with server._bind(settings) as second:  # neither listens yet
            server._listen(first, settings)
            with pytest.raises(ConfigurationError, match="Cannot listen"):
                server._listen(second, settings)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_terminal_that_closes_loses_no_request(workers, tmp_path):
    (tmp_path / "m").write_bytes(b"")
    options = ("--workers", workers)
    with running(tmp_path / "m", tmp_path / "log", *options, command=(FAKE,)) as service:
        until(lambda: can_score(service))
        content = png(50)
        head = f"{HEAD}Content-Length: {len(content)}\r\n\r\n".encode()
        with service.connect(head + content[:9]) as half:
            until(lambda: service.metrics()["ahl_waiting_images"] == 1)
            service.process.send_signal(signal.SIGHUP)
            until(lambda: not service.can_connect())
            half.sendall(content[9:])
            assert answer_on(half)[0] == 200
        assert service.process.wait(timeout=60) == 0
