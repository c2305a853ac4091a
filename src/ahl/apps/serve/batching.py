"""Images that wait to be scored; those that are alike in what is asked share a pass."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field

from ahl._common.types import Pixels
from ahl.scoring.prediction import Prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What is asked of a model besides the score.

    Attributes:
        heat_maps: where the evidence lies.
        nearest: which training images are most like it.
    """

    heat_maps: bool = False
    nearest: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class Waiting:
    """An image on its way.

    Attributes:
        wishes: what is asked.
        answer: for who asks; cancelled when nobody waits for it any more.
        pixels: (H, W, 3), once it is decoded.
        picture: (H, W, 3), brought down to the size that is drawn, if a heat map is asked for.
    """

    wishes: Wishes
    answer: Future[Prediction] = field(default_factory=Future)
    pixels: Pixels | None = None
    picture: Pixels | None = None


class WaitingLine:
    """First come, first served, from many threads to those that score.

    It is bounded by who lets images in (`ahl.apps.serve.admission`).
    """

    def __init__(self) -> None:
        self._line: deque[Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._line)

    def put(self, waiting: Waiting) -> None:
        """Add an image; after `close` its answer is cancelled."""
        with self._changed:
            if not self._closed:
                self._line.append(waiting)
                self._changed.notify()
                return
        waiting.answer.cancel()

    def take(self, most: int) -> list[Waiting]:
        """Wait for an image, and take with it what waits already and asks for the same.

        Nothing is waited for once there is one: an idle service answers at once, and a busy one
        finds many waiting.

        Args:
            most: images to take.

        Returns:
            some whose answers are marked as running; none after `close`, when all are taken.
        """
        with self._changed:
            while True:
                taken = self._take_alike(most)
                if taken or (self._closed and not self._line):
                    return taken
                self._changed.wait()

    def close(self) -> None:
        """Let no more in; what waits is still taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _take_alike(self, most: int) -> list[Waiting]:
        taken: list[Waiting] = []
        others: deque[Waiting] = deque()
        while self._line and len(taken) < most:
            first = self._line.popleft()
            if taken and first.wishes != taken[0].wishes:
                others.append(first)
            elif first.answer.set_running_or_notify_cancel():
                taken.append(first)
        self._line.extendleft(reversed(others))
        return taken
