"""What a service is started with: where it listens, who may ask, and how much."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final

from ahl._common.errors import ConfigurationError
from ahl._common.process_settings import usable_cores
from ahl.apps.serve.access import is_loopback
from ahl.data.images.reading import MAX_PIXELS

MEBIBYTE: Final = 2**20

_DECODERS: Final = 4  # threads that decode, at most; more wait to be scored anyway


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much one client, and all together, may ask for.

    Attributes:
        image_bytes: of one image's file.
        request_bytes: of a request's body.
        images: in one request.
        pixels: of one image.
        waiting_images: accepted and not answered, of all requests together.
        waiting_bytes: of their bodies, likewise.
        seconds: from the start of a request to its answer.
        connections: open at once.
        batch: images that share a pass through the model.
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

    def __post_init__(self) -> None:
        for one in fields(self):
            if not getattr(self, one.name) > 0:
                raise ConfigurationError(f"{one.name} is {getattr(self, one.name)}; give more.")
        if self.pixels > MAX_PIXELS:
            raise ConfigurationError(
                f"Images of {self.pixels:,} pixels are allowed; only up to {MAX_PIXELS:,} are read."
            )
        if self.images > self.waiting_images or self.request_bytes > self.waiting_bytes:
            raise ConfigurationError(
                "A single request may hold more than may wait altogether; allow more to wait, or "
                "less a request."
            )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Of one service.

    Attributes:
        model: the file.
        host: address to listen on.
        port: to listen on; 0 takes a free one.
        workers: processes that share the port.
        threads: of the CPU, a process; None shares the cores among the processes.
        passes: through the model at a time in each process, which share its threads; None takes
            two, but one on a GPU or with one thread.
        device: as in `ahl.scoring.opening.open_scorer`.
        token: that clients must show; None asks for none.
        names: of hosts that it is reached by besides this machine's, without a token.
        access_log: write one JSON line a request to standard error.
        review_dir: folder for images that people mark; None keeps none.
        max_review_bytes: of it.
        limits: how much may be asked for.

    Raises:
        ConfigurationError: if others than this machine could ask without a token.
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
    access_log: bool = False
    review_dir: Path | None = None
    max_review_bytes: int = 1024 * MEBIBYTE
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.token is None and not is_loopback(self.host):
            raise ConfigurationError(
                f"--host {self.host} lets other machines ask: give --token-file with a secret that "
                "they have to show, or listen on 127.0.0.1."
            )

    @property
    def worker_threads(self) -> int | None:
        """Threads that the model computes with in each process; None takes all cores."""
        if self.threads is not None or self.workers == 1:
            return self.threads
        return max(1, usable_cores() // self.workers)

    @property
    def decoders(self) -> int:
        """Threads that decode images in each process."""
        return max(1, min(_DECODERS, usable_cores() // self.workers))
