"""Scores images with an exported model: what `ahl.scoring.scorer` does with torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from ahl.errors import ConfigurationError, ModelFileError
from ahl.images.reading import ImageSource
from ahl.model.card import ModelCard
from ahl.runtime.artefact import Description, read_graph
from ahl.runtime.onnx_session import OnnxSession
from ahl.runtime.openvino_session import OpenVinoSession
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

BATCH: Final = 16
"""Images scored together."""

_NEAREST: Final = (NORMAL, NORMAL_DISTANCE)
_ANOMALY: Final = (ANOMALY, ANOMALY_DISTANCE, ANOMALY_PLACE, ANOMALY_LIKE)


class Session(Protocol):
    """A runtime with a graph in it."""

    description: Description
    outputs: tuple[str, ...]

    def run(self, pixels: NDArray[np.uint8], wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Compute outputs by name of images (N, H, W, 3)."""
        ...


class ArtefactScorer:
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
        graph, description = read_graph(path)
        self.session: Session
        if description is None:
            self.session = OnnxSession(graph, path, threads)
        else:
            self.session = OpenVinoSession(graph, description, path, threads)
        self._check(path)

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
        """Score images in order; see `ahl.engine.Engine`."""
        return predict_in_order(
            images,
            lambda pixels: self.score_pixels(pixels, heat_maps=heat_maps, nearest=nearest),
            image_size=self.card.image_size,
            batch_size=BATCH,
        )

    def score_pixels(
        self, pixels: NDArray[np.uint8], *, heat_maps: bool = False, nearest: bool = False
    ) -> list[Prediction]:
        """Score images (N, image_size, image_size, 3) that are decoded and resized already."""
        return read_outputs(self.compute(pixels, heat_maps=heat_maps, nearest=nearest), self.card)

    def compute(
        self, pixels: NDArray[np.uint8], *, heat_maps: bool = False, nearest: bool = False
    ) -> Outputs:
        """What the graph says of images (N, H, W, 3) of any one size, which it resizes itself."""
        return self.session.run(pixels, self._wanted(heat_maps=heat_maps, nearest=nearest))

    def _wanted(self, *, heat_maps: bool, nearest: bool) -> list[str]:
        card = self.card
        wanted = [SCORE, HEADS]
        wanted += [EVIDENCE] if card.evidence else []
        wanted += [HEAT_MAP] if heat_maps else []
        wanted += _NEAREST if nearest and card.shown_normals else ()
        wanted += _ANOMALY if nearest and card.shown_anomalies else ()
        return wanted

    def _check(self, path: Path) -> None:
        """Refuse a graph that does not give what its card says, by one black image."""
        card = self.card
        wanted = self._wanted(heat_maps=True, nearest=True)
        if missing := set(wanted) - set(self.session.outputs):
            raise ModelFileError(f"{path} lacks outputs: {', '.join(sorted(missing))}.")
        side = card.image_size
        found = self.session.run(np.zeros((1, side, side, 3), np.uint8), wanted)
        shapes = {
            SCORE: (1,),
            HEADS: (1, len(card.heads)),
            EVIDENCE: (1, len(card.evidence)),
            HEAT_MAP: (1, side, side),
            **dict.fromkeys([ANOMALY_PLACE, ANOMALY_LIKE], (1, 2)),
        }
        for name in wanted:
            if found[name].shape != shapes.get(name, (1,)):
                raise ModelFileError(f"{path} gives {name} of another shape than its card says.")
        for name, shown in ((NORMAL, card.shown_normals), (ANOMALY, card.shown_anomalies)):
            if name in found and not 0 <= int(found[name][0]) < len(shown):
                raise ModelFileError(f"{path} names images that its card does not show.")
