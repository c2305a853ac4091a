"""One model behind a service: its threads that decode and score, its bounds and counters."""

from __future__ import annotations

import io
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ahl._common.types import EncodedImage, Pixels
from ahl.apps.serve.admission import Admission
from ahl.apps.serve.bodies import Upload
from ahl.apps.serve.metrics import Metrics
from ahl.apps.serve.settings import Settings
from ahl.data.images.reading import read_stream, resize_pixels
from ahl.data.images.variety import notes_on_numbers
from ahl.pipeline.feedback.store import FeedbackStore
from ahl.scoring.overlay import brought_down
from ahl.scoring.prediction import Prediction
from ahl.scoring.scorer import Scorer

_LOOKED_AT = 16  # images

_LOGGER = logging.getLogger("ahl.apps.serve")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """Results wanted besides the score; images with the same wishes can share a pass.

    Attributes:
        why: reasons, and the training images that are most like the image.
        pictures: small pictures of those.
        heat_map: of the evidence: none, drawn over the image (1, overlay), or as numbers.
    """

    why: bool = False
    pictures: bool = False
    heat_map: Literal["0", "1", "overlay", "raw"] = "0"

    @property
    def heat_maps(self) -> bool:
        """True if the model has to make a heat map."""
        return self.heat_map != "0"


@dataclass(slots=True, kw_only=True, eq=False)
class Waiting:
    """An image between its upload and its prediction.

    Attributes:
        wishes: besides the score.
        answer: the prediction to come; cancelled when nobody waits for it any more.
        pixels: (H, W, 3), once it is decoded.
        picture: (H, W, 3), at the size that is drawn, if a heat map is wanted.
    """

    wishes: Wishes
    answer: Future[Prediction] = field(default_factory=Future)
    pixels: Pixels | None = None
    picture: Pixels | None = None


class WaitingLine:
    """Decoded images, first in, first out; `ahl.apps.serve.admission` bounds their number."""

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
            most: images to take.

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
    """Threads that decode and score.

    Args:
        scorers: of one model; each is used from one thread of this worker only.
        decoders: threads that decode.
        batch: images a pass at most.
        max_pixels: of an image.
        on_batch: called in the scoring thread with the images and seconds of each pass.
    """

    def __init__(
        self,
        scorers: Sequence[Scorer],
        *,
        decoders: int,
        batch: int,
        max_pixels: int,
        on_batch: Callable[[int, float], None] = lambda *_: None,
    ) -> None:
        self._batch, self._max_pixels, self._on_batch = batch, max_pixels, on_batch
        self._card = scorers[0].card
        self._to_look_at = _LOOKED_AT
        self.line = WaitingLine()
        self.pool = ThreadPoolExecutor(decoders, thread_name_prefix="ahl-decode")
        # Of its own: behind all that waits to be decoded, a scored image would wait once more.
        self.drawing = ThreadPoolExecutor(decoders, thread_name_prefix="ahl-draw")
        self._threads = [
            threading.Thread(target=self._score_all, args=(one,), name="ahl-score", daemon=True)
            for one in scorers
        ]
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """True while every scorer's thread runs."""
        return all(thread.is_alive() for thread in self._threads)

    def submit(self, upload: Upload, wishes: Wishes) -> Waiting:
        """Have an image decoded and scored; its answer raises ImageError if it is unreadable."""
        waiting = Waiting(wishes=wishes)
        self.pool.submit(self._decode, upload, waiting)
        return waiting

    def stop(self) -> None:
        """Answer what was submitted, then end the threads."""
        self.pool.shutdown(wait=True)
        self.line.close()
        for thread in self._threads:
            thread.join()
        self.drawing.shutdown(wait=True)

    def _decode(self, upload: Upload, waiting: Waiting) -> None:
        if waiting.answer.cancelled():
            return
        try:
            whole = read_stream(
                io.BytesIO(upload.data),
                upload.name,
                max_pixels=self._max_pixels,
                bit_depth=self._card.bit_depth,
            )
            waiting.pixels = resize_pixels(whole, self._card.image_size)
            if self._to_look_at > 0:
                self._look_at_numbers(upload)
            if waiting.wishes.heat_maps:
                waiting.picture = brought_down(whole)
        except Exception as error:  # ImageError, or a fault: whoever waits gets it
            if waiting.answer.set_running_or_notify_cancel():
                waiting.answer.set_exception(error)
            return
        self.line.put(waiting)

    def _look_at_numbers(self, upload: Upload) -> None:
        """Say once, of the first images, what is odd about numbers of more than 8 bits."""
        self._to_look_at -= 1
        source = EncodedImage(upload.name, lambda: upload.data)
        for note in notes_on_numbers([source], self._card.bit_depth):
            self._to_look_at = 0
            _LOGGER.warning("%s", note)

    def _score_all(self, scorer: Scorer) -> None:
        while taken := self.line.take(self._batch):
            started, wishes = time.perf_counter(), taken[0].wishes
            try:
                predictions = scorer.score_pixels(
                    np.stack([one.pixels for one in taken if one.pixels is not None]),
                    heat_maps=wishes.heat_maps,
                    nearest=wishes.why,
                )
                answers = list(zip(taken, predictions, strict=True))
            except Exception as error:  # whoever waits gets it
                _LOGGER.exception("%d images could not be scored.", len(taken))
                for one in taken:
                    one.answer.set_exception(error)
                continue
            for one, prediction in answers:
                one.answer.set_result(prediction)
            try:
                self._on_batch(len(taken), time.perf_counter() - started)
            except Exception:  # counting, on a full disk say: no reason to score no more
                _LOGGER.exception("A batch could not be counted.")


class Service:
    """One model's worker, bounds, counters, and feedback folder."""

    def __init__(self, scorers: Sequence[Scorer], settings: Settings) -> None:
        self.settings, self.limits = settings, settings.limits
        self.card = scorers[0].card
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
            scorers,
            decoders=settings.decoders,
            batch=self.limits.batch,
            max_pixels=self.limits.pixels,
            on_batch=self.metrics.on_batch,
        )
