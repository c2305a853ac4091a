"""What a service counts, as Prometheus reads it; over all its processes where there are several."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import prometheus_client as prometheus
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from ahl.config.image_size import as_option
from ahl.model.card import ModelCard

SHARED_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable of the library: a folder where processes keep what they count."""

CONTENT_TYPE: Final = prometheus.CONTENT_TYPE_PLAIN_0_0_4

prometheus.disable_created_metrics()  # type: ignore[no-untyped-call]

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SHARES: Final = tuple(tenth / 10 for tenth in range(1, 11))


class Metrics:
    """Counters of one process.

    Args:
        card: of the model.
        waiting: tells how many images are accepted and not answered.
        line: tells how many of them are decoded and wait to be scored.
        batch: images a pass at most.
    """

    def __init__(
        self, card: ModelCard, waiting: Callable[[], int], line: Callable[[], int], batch: int
    ) -> None:
        self._registry = registry = CollectorRegistry()
        self._shared = SHARED_FOLDER in os.environ
        self._waiting, self._line = waiting, line
        self.requests = Counter(
            "ahl_requests", "Requests answered.", ["route", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "ahl_request_seconds",
            "From the start of a request to its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.refusals = Counter(
            "ahl_refusals",
            "Requests refused, by the error's code.",
            ["code"],
            registry=registry,
        )
        self.images = Counter(
            "ahl_images", "Images answered: scored, or unreadable.", ["outcome"], registry=registry
        )
        self.verdicts = Counter(
            "ahl_verdicts", "Images scored, by verdict.", ["verdict"], registry=registry
        )
        self.probability = Histogram(
            "ahl_probability",
            "Probability of the images scored.",
            buckets=_SHARES,
            registry=registry,
        )
        self.batch_images = Histogram(
            "ahl_batch_images",
            "Images that shared a pass through the model.",
            buckets=tuple(2.0**power for power in range(batch.bit_length())),
            registry=registry,
        )
        self.batch_seconds = Histogram(
            "ahl_batch_seconds",
            "Seconds of a pass through the model.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.waiting_images = Gauge(
            "ahl_waiting_images",
            "Images accepted and not answered yet.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.line_images = Gauge(
            "ahl_line_images",
            "Images decoded that wait to be scored.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        model = Gauge(
            "ahl_model_info",
            "1; the labels say which model it is.",
            ["sha256", "version", "backbone", "image_size"],
            multiprocess_mode="livemax",
            registry=registry,
        )
        model.labels(card.sha256, card.version, card.backbone, as_option(card.image_size)).set(1)

    def on_batch(self, images: int, seconds: float) -> None:
        """Count a pass through the model."""
        self.batch_images.observe(images)
        self.batch_seconds.observe(seconds)
        self.look()

    def look(self) -> None:
        """Note what is waiting now; each process has to for itself."""
        self.waiting_images.set(self._waiting())
        self.line_images.set(self._line())

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        self.look()
        registry = self._registry
        if self._shared:
            _forget_the_dead()
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return prometheus.generate_latest(registry)


def _forget_the_dead() -> None:
    """Leave out what processes that are gone said of themselves; what they counted stays."""
    for file in Path(os.environ[SHARED_FOLDER]).glob("gauge_live*_*.db"):
        process = int(file.stem.rpartition("_")[2])
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            mark_process_dead(process)  # type: ignore[no-untyped-call]
        except PermissionError:
            continue
