"""Passes through the model and decoding, each in a process of its own."""

from __future__ import annotations

import io
import time
from typing import Final, Protocol

from ahl._common.errors import ImageError, ModelFileError, ProcessError
from ahl._common.process_settings import limit_memory
from ahl._common.types import EncodedImage, ImageSize, Pixels
from ahl.apps.serve.child import Child, LateError, Made
from ahl.apps.serve.settings import Settings
from ahl.data.images.reading import read_stream
from ahl.data.images.resizing import resize_pixels
from ahl.data.images.variety import notes_on_numbers
from ahl.model.card import ModelCard
from ahl.scoring.opening import open_scorer, threads_of_passes
from ahl.scoring.overlay import brought_down
from ahl.scoring.prediction import Prediction

Decoded = tuple[Pixels, Pixels | None, list[str]]
"""An image at the model's size, at the size that is drawn if a heat map is wanted, and notes on odd
pixel values."""

_OPENING: Final = 120.0
"""Seconds that opening a model may take."""


class Pass(Protocol):
    """Interface of a pass, which scores a batch of images at a time, from one thread."""

    card: ModelCard

    @property
    def ready(self) -> bool:
        """True unless the model is being opened, or the current batch will soon be late."""

    def score_pixels(
        self, pixels: Pixels, *, heat_maps: bool = False, nearest: bool = False
    ) -> list[Prediction]:
        """Score images (N, *image_size, 3)."""

    def mend(self) -> None:
        """Open the model again if its process has ended."""

    def close(self) -> None:
        """End the pass from any thread, even during a batch."""


class ModelPass:
    """A pass with the model in a process of its own.

    Args:
        settings: of the service.
        place: position among the service's passes, from 0.

    Raises:
        AHLError: if the model cannot be opened.
    """

    def __init__(self, settings: Settings, place: int) -> None:
        self._seconds = settings.limits.seconds
        self._began: float | None = None
        self._open, self._sha256 = False, ""
        self._child = Child(_opened, settings, place)
        self.card, self.passes = self._start()
        self._sha256 = self.card.sha256

    @property
    def ready(self) -> bool:
        """True unless the model is being opened, or a batch has taken half of a request's time."""
        began = self._began
        in_time = began is None or time.monotonic() - began < self._seconds / 2
        return in_time and self._open and self._child.running

    def score_pixels(
        self, pixels: Pixels, *, heat_maps: bool = False, nearest: bool = False
    ) -> list[Prediction]:
        """Score images (N, *image_size, 3).

        Raises:
            LateError: if it takes longer than a request may.
            ProcessError: if the process ends.
        """
        self._began = time.monotonic()
        try:
            found: list[Prediction] = self._child.call(self._seconds, pixels, heat_maps, nearest)
            return found
        finally:
            self._began = None

    def mend(self) -> None:
        """Open the model again if its process has ended.

        Raises:
            AHLError: if that fails, or the model file was replaced.
        """
        if not self._child.running:
            self._start()

    def close(self) -> None:
        """End the process."""
        self._child.close()

    def _start(self) -> tuple[ModelCard, int]:
        self._open = False
        card, passes = self._child.start(_OPENING)
        if self._sha256 not in ("", card.sha256):
            self._child.end()
            raise ModelFileError("The model file was replaced; restart the service.")
        self._open = True
        return card, passes


def open_passes(settings: Settings) -> list[Pass]:
    """Open the model once for each pass.

    Raises:
        AHLError: if it cannot be opened.
        ModelFileError: if the file was replaced meanwhile.
    """
    first = ModelPass(settings, 0)
    found = [first, *(ModelPass(settings, place) for place in range(1, first.passes))]
    if len({one.card.sha256 for one in found}) > 1:
        raise ModelFileError(f"{settings.model} was replaced while it was opened; try again.")
    return [*found]


def _opened(settings: Settings, place: int) -> Made:
    threads = threads_of_passes(
        settings.model,
        device=settings.device,
        threads=settings.worker_threads,
        passes=settings.passes,
    )
    scorer = open_scorer(settings.model, device=settings.device, threads=threads[place])

    def score(pixels: Pixels, heat_maps: bool, nearest: bool) -> list[Prediction]:
        return scorer.score_pixels(pixels, heat_maps=heat_maps, nearest=nearest)

    return (scorer.card, len(threads)), score


class Decoder:
    """Decodes images in a process of its own; used from one thread at a time.

    Args:
        max_pixels: of an image.
        seconds: that an image may take.
        memory: bytes that the process may take; enforced on Linux only.
    """

    def __init__(self, max_pixels: int, seconds: float, memory: int) -> None:
        self._seconds = seconds
        self._child = Child(_decoding, max_pixels, memory)

    def start(self) -> None:
        """Start the process, ahead of the first image.

        Raises:
            ProcessError: if that fails.
        """
        self._child.start()

    def decode(
        self, data: bytes, name: str, card: ModelCard, *, picture: bool, look: bool
    ) -> Decoded:
        """Decode the bytes of a file.

        Args:
            data: of the file.
            name: of the file.
            card: of the model.
            picture: also give the image at the size that is drawn.
            look: also note what is odd about pixel values of more than 8 bits.

        Raises:
            ImageError: if it cannot be read, or takes too much time or memory.
        """
        try:
            size, depth = card.image_size, card.bit_depth
            found: Decoded = self._child.call(self._seconds, data, name, size, depth, picture, look)
        except LateError:
            raise ImageError(f"it takes longer than {self._seconds:g} s to decode") from None
        except ProcessError as error:
            raise ImageError(f"it cannot be decoded: {error}") from None
        return found

    def close(self) -> None:
        """End the process, from any thread."""
        self._child.close()


def _decoding(max_pixels: int, memory: int) -> Made:
    limit_memory(memory)

    def decode(
        data: bytes, name: str, size: ImageSize, depth: int, picture: bool, look: bool
    ) -> Decoded:
        whole = read_stream(io.BytesIO(data), name, max_pixels=max_pixels, bit_depth=depth)
        notes = list(notes_on_numbers([EncodedImage(name, lambda: data)], depth)) if look else []
        return resize_pixels(whole, size), brought_down(whole) if picture else None, notes

    return None, decode
