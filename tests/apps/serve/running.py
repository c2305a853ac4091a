"""A service as its own process, and how to reach it."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx2
from fakes import png

FAKE = str(Path(__file__).with_name("fake_service.py"))


class Running:
    def __init__(self, process, port):
        self.process, self.port = process, port
        self.address = f"http://127.0.0.1:{port}"

    def metrics(self):
        """Values by name and labels."""
        text = httpx2.get(f"{self.address}/metrics").text
        pairs = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in pairs}

    def score(self, content):
        """The answer to one image."""
        return httpx2.post(f"{self.address}/v1/score", content=content, timeout=60)

    def connect(self, text):
        """A connection on which so much was sent."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        connection.sendall(text)
        return connection

    def can_connect(self):
        try:
            self.connect(b"").close()
        except OSError:
            return False
        return True

    def stop(self):
        """Its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


@contextmanager
def running(model, log_file, *options, command=("-m", "ahl"), python=sys.executable, env=None):
    """Start a service on a free port, and wait until it is ready; may be of another environment."""
    arguments = [*command, "serve", str(model), "--port", "0", "--threads", "1", *options]
    with log_file.open("w") as log:
        process = subprocess.Popen([python, *arguments], stderr=log, env=env)

    def address():
        assert process.poll() is None, log_file.read_text()
        return re.search(r"on http://127\.0\.0\.1:(\d+)", log_file.read_text())

    def is_ready():
        assert process.poll() is None, log_file.read_text()
        try:
            return httpx2.get(f"{service.address}/readyz").status_code == 200
        except httpx2.TransportError:
            return False

    try:
        until(address)
        service = Running(process, int(address()[1]))
        until(is_ready)
        yield service
    finally:
        process.kill()
        process.wait()


def until(condition):
    """Wait for what others bring about."""
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come about")


def answer_on(connection):
    """Status and JSON of the first answer on a connection, which is closed then."""
    with connection, connection.makefile("rb") as file:
        status = int(file.readline().split()[1])
        length = 0
        while (line := file.readline().lower().strip()) != b"":
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return status, json.loads(file.read(length))


def can_score(service):
    """True if an image is answered: not by a worker that has just been killed."""
    try:
        return service.score(png()).status_code == 200
    except httpx2.TransportError:
        return False
