"""Worker threads of a service that have images decoded and scored, and the service's state."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Final, Literal

import numpy as np

from ahl._common.errors import AHLError, ProcessError
from ahl._common.text import first_line
from ahl._common.types import Pixels
from ahl.apps.serve.admission import Admission
from ahl.apps.serve.bodies import Upload
from ahl.apps.serve.metrics import Metrics
from ahl.apps.serve.passes import Decoder, Pass
from ahl.apps.serve.settings import Settings
from ahl.data.images.variety import LOOKED_AT
from ahl.pipeline.feedback.store import FeedbackStore
from ahl.scoring.prediction import Prediction

AGAIN: Final = 30.0
"""Seconds until a model or a process that could not start is tried again."""

_LOGGER = logging.getLogger("ahl.apps.serve")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """Results wanted besides the score; images with the same wishes can share a pass.

    Attributes:
        why: reasons, and the training images that are most like the image.
        pictures: small pictures of those training images.
        heat_map: of the evidence: none (0), drawn over the image (1, overlay), or as numbers (raw).
    """

    why: bool = False
    pictures: bool = False
    heat_map: Literal["0", "1", "overlay", "raw"] = "0"

    @property
    def heat_maps(self) -> bool:
        """True if a heat map is wanted."""
        return self.heat_map != "0"


@dataclass(slots=True, kw_only=True, eq=False)
class Waiting:
    """An image between its upload and its prediction.

    Attributes:
        wishes: results wanted besides the score.
        answer: the prediction to come; cancelled when nobody waits for it any more.
        pixels: (H, W, 3), once it is decoded.
        picture: (H, W, 3), at the size that is drawn, if a heat map is wanted.
    """

    wishes: Wishes
    answer: Future[Prediction] = field(default_factory=Future)
    pixels: Pixels | None = None
    picture: Pixels | None = None


class WaitingLine:
    """Queue of decoded images; `ahl.apps.serve.admission` bounds its length."""

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
        """Wait for one image, and take others that are there already and have the same wishes.

        Args:
            most: largest number of images to take.

        Returns:
            images whose answers are marked as running; none after `close`, when all are taken.
        """
        with self._changed:
            while True:
                taken = self._take_alike(most)
                if taken or (self._closed and not self._line):
                    return taken
                self._changed.wait()

    def close(self) -> None:
        """Accept no more images; those that are there are still taken."""
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


class Worker:
    """Threads that hand images to the processes that decode and score.

    Args:
        passes: of one model; each is used from one thread of this worker only.
        decoders: of images; used in the same way.
        batch: most images in a pass.
        on_batch: called in the scoring thread with the images and seconds of each pass.
    """

    def __init__(
        self,
        passes: Sequence[Pass],
        *,
        decoders: Sequence[Decoder],
        batch: int,
        on_batch: Callable[[int, float], None] = lambda *_: None,
    ) -> None:
        self._batch, self._on_batch = batch, on_batch
        self._passes, self._decoders = passes, decoders
        self._free: SimpleQueue[Decoder] = SimpleQueue()
        self._card, self._to_look_at = passes[0].card, LOOKED_AT
        self._stopping = threading.Event()
        self.line = WaitingLine()
        self.pool = ThreadPoolExecutor(len(decoders), thread_name_prefix="ahl-decode")
        # Of its own: behind all that waits to be decoded, a scored image would wait once more.
        self.drawing = ThreadPoolExecutor(len(decoders), thread_name_prefix="ahl-draw")
        self._threads = [
            threading.Thread(target=self._score_all, args=(one,), name="ahl-score", daemon=True)
            for one in passes
        ]
        for thread in self._threads:
            thread.start()
        for decoder in decoders:
            self.pool.submit(self._start, decoder)

    @property
    def ready(self) -> bool:
        """True while at least one pass can score."""
        return any(
            thread.is_alive() and one.ready
            for thread, one in zip(self._threads, self._passes, strict=True)
        )

    def submit(self, upload: Upload, wishes: Wishes) -> Waiting:
        """Have an image decoded and scored; its answer raises ImageError if it is unreadable."""
        waiting = Waiting(wishes=wishes)
        self.pool.submit(self._decode, upload, waiting)
        return waiting

    def stop(self) -> None:
        """End threads and processes; images not answered by now are given up."""
        self._stopping.set()
        self.line.close()
        self.pool.shutdown(wait=False, cancel_futures=True)
        closing: list[Pass | Decoder] = [*self._passes, *self._decoders]
        for one in closing:
            one.close()
        self.pool.shutdown(wait=True)
        self.drawing.shutdown(wait=True)

    def _start(self, decoder: Decoder) -> None:
        with suppress(ProcessError, OSError):  # the first image tries again
            decoder.start()
        self._free.put(decoder)

    def _decode(self, upload: Upload, waiting: Waiting) -> None:
        if waiting.answer.cancelled():
            return
        decoder = self._free.get()
        try:
            look, self._to_look_at = self._to_look_at > 0, self._to_look_at - 1
            waiting.pixels, waiting.picture, notes = decoder.decode(
                upload.data, upload.name, self._card, picture=waiting.wishes.heat_maps, look=look
            )
            for note in notes:  # once, of the first images
                self._to_look_at = 0
                _LOGGER.warning("%s", note)
        except Exception as error:  # ImageError, or a fault: whoever waits gets it
            if waiting.answer.set_running_or_notify_cancel():
                waiting.answer.set_exception(error)
            return
        finally:
            self._free.put(decoder)
        self.line.put(waiting)

    def _score_all(self, one: Pass) -> None:
        while taken := self.line.take(self._batch):
            self._score(one, taken)
            while not self._stopping.is_set():
                try:
                    one.mend()
                    break
                except (AHLError, OSError) as error:
                    words = first_line(error)
                    _LOGGER.error("The model cannot be opened again: %s.", words)  # noqa: TRY400
                    self._stopping.wait(AGAIN)

    def _score(self, one: Pass, taken: Sequence[Waiting]) -> None:
        started, wishes = time.perf_counter(), taken[0].wishes
        try:
            predictions = one.score_pixels(
                np.stack([image.pixels for image in taken if image.pixels is not None]),
                heat_maps=wishes.heat_maps,
                nearest=wishes.why,
            )
            answers = list(zip(taken, predictions, strict=True))
        except Exception as error:  # whoever waits gets it
            if not self._stopping.is_set():
                _LOGGER.error(  # noqa: TRY400 - the process has logged faults of its own
                    "%d images could not be scored: %s.", len(taken), first_line(error)
                )
            for image in taken:
                image.answer.set_exception(error)
            return
        for image, prediction in answers:
            image.answer.set_result(prediction)
        try:
            self._on_batch(len(taken), time.perf_counter() - started)
        except Exception:  # counting, on a full disk say: no reason to score no more
            _LOGGER.exception("A batch could not be counted.")


class Service:
    """One model's worker, bounds, counters, and feedback folder.

    Args:
        passes: of one model, for this service alone.
        settings: of the service.

    Raises:
        ConfigurationError: if the feedback folder cannot be written to.
    """

    def __init__(self, passes: Sequence[Pass], settings: Settings) -> None:
        self.settings, self.limits = settings, settings.limits
        self.card = passes[0].card
        folder = settings.feedback_dir
        self.feedback = (
            None if folder is None else FeedbackStore(folder, settings.max_feedback_bytes)
        )
        self.admission = Admission(self.limits)
        self.metrics = Metrics(
            self.card,
            waiting=lambda: self.admission.images,
            line=lambda: len(self.worker.line),
            batch=self.limits.batch,
        )
        self.worker = Worker(
            passes,
            decoders=[
                Decoder(self.limits.pixels, self.limits.seconds / 2, self.limits.decoding_bytes)
                for _ in range(settings.decoders)
            ],
            batch=self.limits.batch,
            on_batch=self.metrics.on_batch,
        )
