"""Counters of a service in Prometheus's format, over all its processes where there are several."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Final

import prometheus_client as prometheus
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

from ahl.config.image_size import as_option
from ahl.model.card import ModelCard

SHARED_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable of `prometheus_client`: a folder where processes keep their counts."""

CONTENT_TYPE: Final = prometheus.CONTENT_TYPE_PLAIN_0_0_4

prometheus.disable_created_metrics()  # type: ignore[no-untyped-call]

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SHARES: Final = tuple(tenth / 10 for tenth in range(1, 11))


class Metrics:
    """Counters of one process.

    Args:
        card: of the model.
        waiting: returns the number of images accepted and not answered.
        line: returns the number of those that are decoded and wait to be scored.
        batch: most images in a pass.
    """

    def __init__(
        self, card: ModelCard, waiting: Callable[[], int], line: Callable[[], int], batch: int
    ) -> None:
        self._registry = CollectorRegistry()
        counter = partial(Counter, registry=self._registry)
        histogram = partial(Histogram, registry=self._registry)
        gauge = partial(Gauge, registry=self._registry)
        self.requests = counter("ahl_requests", "Requests answered.", ["route", "status"])
        self.request_seconds = histogram(
            "ahl_request_seconds",
            "Seconds from the start of a request to its answer.",
            ["route"],
            buckets=_SECONDS,
        )
        self.refusals = counter("ahl_refusals", "Requests refused, by the error's code.", ["code"])
        self.images = counter("ahl_images", "Images answered: scored, or unreadable.", ["outcome"])
        self.verdicts = counter("ahl_verdicts", "Images scored, by verdict.", ["verdict"])
        self.probability = histogram(
            "ahl_probability", "Probability of the images scored.", buckets=_SHARES
        )
        self._batch_images = histogram(
            "ahl_batch_images",
            "Images that shared a pass through the model.",
            buckets=tuple(2.0**power for power in range(batch.bit_length())),
        )
        self._batch_seconds = histogram(
            "ahl_batch_seconds", "Seconds of a pass through the model.", buckets=_SECONDS
        )
        live = partial(gauge, multiprocess_mode="livesum")
        self._gauges = (
            (live("ahl_waiting_images", "Images accepted and not answered yet."), waiting),
            (live("ahl_line_images", "Decoded images that wait to be scored."), line),
        )
        model = gauge(
            "ahl_model_info",
            "Always 1; the labels name the model.",
            ["sha256", "version", "backbone", "image_size"],
            multiprocess_mode="livemax",
        )
        model.labels(card.sha256, card.version, card.backbone, as_option(card.image_size)).set(1)

    def on_batch(self, images: int, seconds: float) -> None:
        """Count a pass of so many images and seconds through the model."""
        self._batch_images.observe(images)
        self._batch_seconds.observe(seconds)
        self.update_gauges()

    def update_gauges(self) -> None:
        """Set the gauges of this process to the numbers of images that wait now."""
        for gauge, value in self._gauges:
            gauge.set(value())

    def text(self) -> bytes:
        """All metrics of all processes in Prometheus's text format."""
        self.update_gauges()
        registry = self._registry
        if SHARED_FOLDER in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return prometheus.generate_latest(registry)
