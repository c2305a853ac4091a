"""Settings of a service: where it listens, who may ask, and how much."""

from __future__ import annotations

import ipaddress
import re
import stat
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final

from ahl._common.errors import ConfigurationError
from ahl._common.process_settings import usable_cores
from ahl.data.images.reading import MAX_PIXELS

MEBIBYTE: Final = 2**20

MOST_A_PIXEL: Final = 20
"""Most bytes of memory that decoding takes per pixel: JPEG 2000; most formats take half."""

_DECODER: Final = 64 * MEBIBYTE  # besides
_DECODERS: Final = 4  # at most; more would only wait for those that score
_SHORTEST, _LONGEST = 16, 4096  # characters of a token
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]+")  # as RFC 6750 allows in a header
_ROOT_PATH: Final = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_OTHERS: Final = stat.S_IRWXO | stat.S_IWGRP


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds on what one client, and all clients together, may ask for.

    Attributes:
        image_bytes: of one image's file.
        request_bytes: of a request's body.
        images: in one request.
        pixels: of one image.
        waiting_images: accepted and not answered, of all requests together.
        waiting_bytes: of the bodies of these requests.
        seconds: from the start of a request to its answer.
        connections: open at once.
        batch: images that share a pass through the model.

    Raises:
        ConfigurationError: if one is not positive, there are more pixels than are ever read, or one
            request could exceed what may wait.
    """

    image_bytes: int = 32 * MEBIBYTE
    request_bytes: int = 64 * MEBIBYTE
    images: int = 64
    pixels: int = 50_000_000
    waiting_images: int = 256
    waiting_bytes: int = 256 * MEBIBYTE
    seconds: float = 30.0
    connections: int = 512
    batch: int = 4

    @property
    def decoding_bytes(self) -> int:
        """Bytes of memory that a decoding process may take, for the costliest format."""
        return MOST_A_PIXEL * self.pixels + 4 * self.image_bytes + _DECODER

    def __post_init__(self) -> None:
        for one in fields(self):
            if not getattr(self, one.name) > 0:
                raise ConfigurationError(
                    f"{one.name} is {getattr(self, one.name)}; expected more than 0."
                )
        if self.pixels > MAX_PIXELS:
            raise ConfigurationError(
                f"pixels is {self.pixels}; expected at most {MAX_PIXELS}, the largest image that "
                "is read."
            )
        if self.images > self.waiting_images or self.request_bytes > self.waiting_bytes:
            raise ConfigurationError(
                "A single request may be larger than all waiting requests together: raise "
                "--max-waiting and --max-waiting-mib, or lower --max-images and "
                "--max-request-mib."
            )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of one service.

    Attributes:
        model: file of the model.
        host: address to listen on.
        port: to listen on; 0 takes a free one.
        workers: processes that share the port.
        threads: of the CPU, a process; None shares the cores among the processes.
        passes: through the model at a time in each process, which share its threads; None takes
            two, or one on a GPU or with one thread.
        device: as in `ahl.scoring.opening.open_scorer`.
        token: that clients must send; None asks for none.
        names: host names of the service besides this machine's, for one without a token.
        root_path: under which a proxy shows the service, as `/inspection`; empty for none.
        access_log: write one JSON line a request to standard error.
        feedback_dir: folder for people's feedback; None keeps none.
        max_feedback_bytes: largest size of that folder.
        limits: on what may be asked for.

    Raises:
        ConfigurationError: if other machines could ask without a token, or the root path is not
            like `/inspection`.
    """

    model: Path
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    threads: int | None = None
    passes: int | None = None
    device: str = "auto"
    token: str | None = field(default=None, repr=False)
    names: tuple[str, ...] = ()
    root_path: str = ""
    access_log: bool = False
    feedback_dir: Path | None = None
    max_feedback_bytes: int = 1024 * MEBIBYTE
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.token is None and not is_loopback(self.host):
            raise ConfigurationError(
                f"--host {self.host} can be reached by other machines: give --token-file with a "
                "secret that clients must send, or listen on 127.0.0.1."
            )
        if self.root_path and not _ROOT_PATH.fullmatch(self.root_path):
            raise ConfigurationError(
                f"--root-path is {self.root_path!r}; expected a path such as /inspection, without "
                "a slash at the end."
            )

    @property
    def worker_threads(self) -> int | None:
        """Threads that the model computes with in each process; None takes all cores."""
        if self.threads is not None or self.workers == 1:
            return self.threads
        return max(1, usable_cores() // self.workers)

    @property
    def decoders(self) -> int:
        """Images decoded at a time, for each process."""
        return max(1, min(_DECODERS, usable_cores() // self.workers))


def is_loopback(host: str) -> bool:
    """True if only programs of this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_token(path: Path) -> str:
    """Read the secret that clients have to send, from a file that holds nothing else.

    Raises:
        ConfigurationError: if the file is missing, open to others on this machine, or holds no
            token.
    """
    advice = "Make one with: (umask 077; openssl rand -hex 32 > FILE)"
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise ConfigurationError(f"The token file {path} is not a regular file. {advice}")
        with path.open("rb") as file:
            content = file.read(_LONGEST + 1)
    except OSError as error:
        raise ConfigurationError(
            f"The token file {path} cannot be read: {error.strerror}. {advice}"
        ) from None
    if mode & _OTHERS:
        raise ConfigurationError(
            f"Others may read or write the token file {path}; close it with: chmod 600 {path}"
        )
    token = content.decode("ascii", errors="replace").strip()
    if not token:
        problem = "is empty"
    elif len(content) > _LONGEST or not _TOKEN.fullmatch(token):
        problem = "holds more than one word of letters, digits and ._~+/=-"
    elif len(token) < _SHORTEST:
        problem = f"holds {len(token)} characters; expected at least {_SHORTEST}"
    else:
        return token
    raise ConfigurationError(f"The token file {path} {problem}. {advice}")
