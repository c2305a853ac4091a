"""Scores images with an exported model: what `ahl.scoring.torch_scorer` does with torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from ahl._common.errors import ConfigurationError, ModelFileError
from ahl.data.images.reading import ImageSource
from ahl.model.card import ModelCard
from ahl.scoring.outputs import (
    ANOMALY,
    ANOMALY_DISTANCE,
    ANOMALY_LIKE,
    ANOMALY_PLACE,
    EVIDENCE,
    HEADS,
    HEAT_MAP,
    NORMAL,
    NORMAL_DISTANCE,
    SCORE,
    Outputs,
    predict_in_order,
    read_outputs,
)
from ahl.scoring.prediction import Prediction
from ahl.scoring.runtime.artefact import Description, read_graph
from ahl.scoring.runtime.onnx_session import OnnxSession
from ahl.scoring.runtime.openvino_session import OpenVinoSession

BATCH: Final = 16
"""Images scored together."""

AT_ONCE: Final = 448 * 448
"""Pixels of such an image: of larger ones, fewer go through the graph together. A graph in tiles
holds all tiles of its images at once."""

_NEAREST: Final = (NORMAL, NORMAL_DISTANCE)
_ANOMALY: Final = (ANOMALY, ANOMALY_DISTANCE, ANOMALY_PLACE, ANOMALY_LIKE)


class Session(Protocol):
    """A runtime with a graph in it."""

    description: Description
    outputs: tuple[str, ...]

    def run(self, pixels: NDArray[np.uint8], wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Compute outputs by name of images (N, H, W, 3)."""
        ...


class OnnxScorer:
    """Scores images with an exported model.

    Args:
        path: the artefact.
        device: `auto` or `cpu`.
        threads: of the CPU; None takes all cores.

    Raises:
        ConfigurationError: if its runtime is not installed, or another device is asked for.
        ModelFileError: if it is no whole artefact, or its graph does not fit its card.
    """

    def __init__(self, path: Path, *, device: str = "auto", threads: int | None = None) -> None:
        if device not in ("auto", "cpu"):
            raise ConfigurationError(f"Exported models run on the CPU here, not on {device!r}.")
        self._path = path
        graph, description = read_graph(path)
        self.session: Session
        if description is None:
            self.session = OnnxSession(graph, path, threads)
        else:
            self.session = OpenVinoSession(graph, description, path, threads)
        self._try()

    @property
    def description(self) -> Description:
        """The artefact's card, precision and parity."""
        return self.session.description

    @property
    def card(self) -> ModelCard:
        """What is to be known of the model."""
        return self.session.description.card

    def predict(
        self, images: Sequence[ImageSource], *, heat_maps: bool = False, nearest: bool = False
    ) -> Iterator[Prediction]:
        """Score images in order; see `ahl.scoring.opening.Scorer`."""
        return predict_in_order(
            images,
            lambda pixels: self.score_pixels(pixels, heat_maps=heat_maps, nearest=nearest),
            image_size=self.card.image_size,
            batch_size=BATCH,
        )

    def score_pixels(
        self, pixels: NDArray[np.uint8], *, heat_maps: bool = False, nearest: bool = False
    ) -> list[Prediction]:
        """Score images (N, *image_size, 3) that are decoded and resized already."""
        return read_outputs(self.compute(pixels, heat_maps=heat_maps, nearest=nearest), self.card)

    def compute(
        self, pixels: NDArray[np.uint8], *, heat_maps: bool = False, nearest: bool = False
    ) -> Outputs:
        """What the graph says of images (N, H, W, 3) of any one size, which it resizes itself.

        Raises:
            ModelFileError: if the graph fails, or gives what its card does not say.
        """
        wanted = self._wanted(heat_maps=heat_maps, nearest=nearest)
        parts = []
        together = max(1, BATCH * AT_ONCE // math.prod(self.card.image_size))
        for start in range(0, len(pixels), together):
            some = pixels[start : start + together]
            found = self.session.run(some, wanted)
            self._check(found, len(some))
            parts.append(found)
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _wanted(self, *, heat_maps: bool, nearest: bool) -> list[str]:
        card = self.card
        wanted = [SCORE, HEADS]
        wanted += [EVIDENCE] if card.evidence else []
        wanted += [HEAT_MAP] if heat_maps else []
        wanted += _NEAREST if nearest and card.shown_normals else ()
        wanted += _ANOMALY if nearest and card.shown_anomalies else ()
        return wanted

    def _try(self) -> None:
        """Refuse a graph that does not give what its card says, by one black image."""
        wanted = self._wanted(heat_maps=True, nearest=True)
        if missing := set(wanted) - set(self.session.outputs):
            raise ModelFileError(f"{self._path} lacks outputs: {', '.join(sorted(missing))}.")
        black = np.zeros((1, *self.card.image_size, 3), np.uint8)
        self.compute(black, heat_maps=True, nearest=True)

    def _check(self, found: Outputs, images: int) -> None:
        card = self.card
        shapes = {
            HEADS: (len(card.heads),),
            EVIDENCE: (len(card.evidence),),
            HEAT_MAP: card.image_size,
            **dict.fromkeys([ANOMALY_PLACE, ANOMALY_LIKE], (2,)),
        }
        shown = {NORMAL: len(card.shown_normals), ANOMALY: len(card.shown_anomalies)}
        for name, values in found.items():
            if values.shape != (images, *shapes.get(name, ())):
                raise ModelFileError(
                    f"{self._path} gives {name} of another shape than its card says."
                )
            if values.dtype.kind != ("i" if name in shown else "f"):
                raise ModelFileError(f"{self._path} gives {name} as another type than it should.")
            if name in shown and not ((values >= 0) & (values < shown[name])).all():
                raise ModelFileError(f"{self._path} names images that its card does not show.")
