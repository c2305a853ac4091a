"""Files to predictions: some threads decode, others score, each with an scorer of its own."""

from __future__ import annotations

import io
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ahl.apps.serve.batching import Waiting, WaitingLine, Wishes
from ahl.apps.serve.forms import Upload
from ahl.data.images.reading import read_stream, resize_pixels
from ahl.scoring.overlay import brought_down
from ahl.scoring.prediction import Prediction
from ahl.scoring.scorer import Scorer

_LOGGER = logging.getLogger("ahl.apps.serve")

OnBatch = Callable[[int, float], None]
"""Hears of each pass: how many images, and how many seconds."""


class Worker:
    """Scores images for many who ask at once.

    Args:
        scorers: of one model; each is used from one thread of this worker only.
        decoders: threads that decode.
        batch: images a pass at most.
        max_pixels: of an image.
        on_batch: called in the scoring thread.
    """

    def __init__(
        self,
        scorers: Sequence[Scorer],
        *,
        decoders: int,
        batch: int,
        max_pixels: int,
        on_batch: OnBatch | None = None,
    ) -> None:
        self._batch, self._max_pixels = batch, max_pixels
        self._on_batch = on_batch
        self._image_size = scorers[0].card.image_size
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
        """Whether it still scores, with all scorers."""
        return all(thread.is_alive() for thread in self._threads)

    def submit(self, upload: Upload, wishes: Wishes) -> Waiting:
        """Have an image decoded and scored.

        Returns:
            whose answer comes, or raises ImageError if the image cannot be read.
        """
        waiting = Waiting(wishes=wishes)
        self.pool.submit(self._decode, upload, waiting)
        return waiting

    def stop(self) -> None:
        """Answer what was accepted, then end the threads."""
        self.pool.shutdown(wait=True)
        self.line.close()
        for thread in self._threads:
            thread.join()
        self.drawing.shutdown(wait=True)

    def _decode(self, upload: Upload, waiting: Waiting) -> None:
        if waiting.answer.cancelled():
            return
        try:
            whole = read_stream(io.BytesIO(upload.data), upload.name, max_pixels=self._max_pixels)
            waiting.pixels = resize_pixels(whole, self._image_size)
            if waiting.wishes.heat_maps:
                waiting.picture = brought_down(whole)
        except Exception as error:  # ImageError; anything else is told as well, not lost
            if waiting.answer.set_running_or_notify_cancel():
                waiting.answer.set_exception(error)
            return
        self.line.put(waiting)

    def _score_all(self, scorer: Scorer) -> None:
        while taken := self.line.take(self._batch):
            started = time.perf_counter()
            try:
                predictions = self._score(scorer, taken)
            except Exception as error:  # whatever it is, those who wait have to be told
                _LOGGER.exception("%d images could not be scored.", len(taken))
                for one in taken:
                    one.answer.set_exception(error)
                continue
            for one, prediction in zip(taken, predictions, strict=True):
                one.answer.set_result(prediction)
            if self._on_batch is not None:
                try:
                    self._on_batch(len(taken), time.perf_counter() - started)
                except Exception:  # counting, on a full disk say: no reason to score no more
                    _LOGGER.exception("A batch could not be counted.")

    def _score(self, scorer: Scorer, taken: list[Waiting]) -> list[Prediction]:
        wishes = taken[0].wishes
        predictions = scorer.score_pixels(
            np.stack([one.pixels for one in taken if one.pixels is not None]),
            heat_maps=wishes.heat_maps,
            nearest=wishes.nearest,
        )
        if len(predictions) != len(taken):
            raise RuntimeError(f"{len(taken)} images have {len(predictions)} predictions")
        return predictions
