"""What is accepted and not answered yet: so many images and bytes, and no more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ahl.apps.serve.refusals import queue_full
from ahl.apps.serve.settings import Limits

_LONGEST_RETRY: Final = 30  # seconds
_IN_TIME: Final = 0.5  # of the time that a request may take: some take twice as long as expected


class Admission:
    """Counts what is in the house; to be used from the event loop alone.

    Args:
        limits: how much may be.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.requests = 0
        self.images = 0
        self.bytes = 0
        self.seconds_an_image = 0.05
        """Of late, for what a client is told to wait."""

    @contextmanager
    def request(self) -> Iterator[Place]:
        """Let a request in; what it takes is given back at its end.

        Raises:
            RefusedError: if the house is full, or what waits takes too long to be answered in time.
        """
        if self.images * self.seconds_an_image > _IN_TIME * self._limits.seconds:
            raise queue_full(self.retry_after)
        place = Place(self, self._limits)
        self.requests += 1
        try:
            place.take(images=1)  # a request has one at least, known before its body is read
            yield place
        finally:
            self.requests -= 1
            place.leave()

    def waited(self, images: int, seconds: float) -> None:
        """Learn how long images take.

        Args:
            images: that were in the house, with its own, when a request's were all there.
            seconds: from then to its answer.
        """
        self.seconds_an_image += 0.1 * (seconds / max(1, images) - self.seconds_an_image)

    @property
    def retry_after(self) -> int:
        """Whole seconds after which half of what waits will be answered."""
        return min(_LONGEST_RETRY, max(1, round(self.images * self.seconds_an_image / 2)))


class Place:
    """What one request takes of the house."""

    def __init__(self, house: Admission, limits: Limits) -> None:
        self._house, self._limits = house, limits
        self.images = 0
        self.bytes = 0

    def take(self, *, images: int = 0, size: int = 0) -> None:
        """Take more.

        Args:
            images: so many more.
            size: so many more bytes.

        Raises:
            RefusedError: if the house is full.
        """
        house, limits = self._house, self._limits
        if (
            house.images + images > limits.waiting_images
            or house.bytes + size > limits.waiting_bytes
        ):
            raise queue_full(house.retry_after)
        house.images += images
        house.bytes += size
        self.images += images
        self.bytes += size

    def leave(self) -> None:
        """Give all of it back."""
        self._house.images -= self.images
        self._house.bytes -= self.bytes
        self.images = self.bytes = 0
