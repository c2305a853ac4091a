"""Bounds on what is accepted and not answered yet: so many images and bytes, and no more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ahl.apps.serve.refusals import RefusedError
from ahl.apps.serve.settings import Limits

_LONGEST_RETRY: Final = 30  # seconds
_IN_TIME: Final = 0.5  # of the time that a request may take: some take twice as long as expected


class Admission:
    """Counts images and bytes that wait for their answer; only for use in the event loop.

    Args:
        limits: on both.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.images = 0
        self.bytes = 0
        self._seconds_an_image = 0.05  # of late

    @contextmanager
    def request(self) -> Iterator[Place]:
        """Accept a request, until the end of the context.

        Raises:
            RefusedError: if too much waits, or for too long to be answered in time.
        """
        if self.images * self._seconds_an_image > _IN_TIME * self.limits.seconds:
            raise self.full()
        place = Place(self)
        try:
            place.take(images=1)  # a request has at least one, known before its body is read
            yield place
        finally:
            self.images -= place.images
            self.bytes -= place.bytes

    def waited(self, images: int, seconds: float) -> None:
        """Take account of how long a request took.

        Args:
            images: that waited, its own included, when its body had been read.
            seconds: from then to its answer.
        """
        self._seconds_an_image += 0.1 * (seconds / max(1, images) - self._seconds_an_image)

    def full(self) -> RefusedError:
        """The refusal, with the time after which half of what waits will be answered."""
        half = round(self.images * self._seconds_an_image / 2)
        seconds = min(_LONGEST_RETRY, max(1, half))
        return RefusedError(
            429,
            "queue_full",
            f"More images are waiting than the service accepts; come back in {seconds} s.",
            headers={"Retry-After": str(seconds)},
        )


class Place:
    """Images and bytes of one request that count towards the bounds."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.images = 0
        self.bytes = 0

    def take(self, *, images: int = 0, size: int = 0) -> None:
        """Add images and bytes to the request.

        Raises:
            RefusedError: if too much would wait.
        """
        waiting, limits = self._admission, self._admission.limits
        if (
            waiting.images + images > limits.waiting_images
            or waiting.bytes + size > limits.waiting_bytes
        ):
            raise waiting.full()
        waiting.images += images
        waiting.bytes += size
        self.images += images
        self.bytes += size
