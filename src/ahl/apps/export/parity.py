"""How far an exported model's results lie from the model's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ahl._common.errors import ParityError
from ahl._common.types import ImageSize
from ahl.data.images.reading import resize_pixels
from ahl.model.card import ModelCard
from ahl.model.decision import Decision
from ahl.scoring.metrics import auroc
from ahl.scoring.outputs import EVIDENCE, HEADS, HEAT_MAP, SCORE, Outputs
from ahl.scoring.runtime.artefact import Precision

TOLERANCE: Final[Mapping[Precision, float]] = {"fp32": 1e-4, "fp16": 0.1}
"""Largest difference that is let through, of a score and of all that it is made of, relative to the
value, or to 1 where it is smaller: of scores, which are in spreads of unseen normals, 1 is one
spread. None for 8 bits, which change every score a little, and are judged by how well they rank."""

RESIZED_TOLERANCE: Final = 0.05
"""The same for images that the graph resizes itself: runtimes round pixels differently."""

LARGEST_DROP: Final = 0.005
"""Of AUROC, for 16 and 8 bits, where labelled images are given."""

COMPARED: Final = (SCORE, HEADS, EVIDENCE, HEAT_MAP)

Compute = Callable[[NDArray[np.uint8]], Outputs]
"""Outputs of images (N, H, W, 3)."""


@dataclass(frozen=True, kw_only=True)
class Parity:
    """What was compared, and how far apart it lay.

    Attributes:
        images: compared at the model's own size.
        differences: the largest by output, relative to the value or to 1.
        resized: the largest of the score where the graph resized the images; None if it was not
            compared.
        labelled: labelled images that were scored by both; 0 if none were given.
        auroc: of the model itself on them; None without.
        auroc_exported: of the exported one.
        other_side: how many of them lie on another side of the model's threshold than by its own
            score; None without a threshold.
    """

    images: int
    differences: Mapping[str, float]
    resized: float | None = None
    labelled: int = 0
    auroc: float | None = None
    auroc_exported: float | None = None
    other_side: int | None = None

    @property
    def drop(self) -> float | None:
        """By how much the exported model ranks worse; None without labelled images."""
        if self.auroc is None or self.auroc_exported is None:
            return None
        return self.auroc - self.auroc_exported

    def values(self) -> dict[str, Any]:
        """JSON values."""
        return {**asdict(self), "differences": dict(self.differences), "drop": self.drop}

    def check(self, precision: Precision) -> None:
        """Refuse an exported model that is not the same.

        Raises:
            ParityError: if a difference, or the drop, is larger than its precision may cause.
        """
        limit = TOLERANCE.get(precision)
        if limit is not None:
            for name, difference in self.differences.items():
                if not difference <= limit:  # put this way round, NaN is refused too
                    raise ParityError(
                        f"The exported model's {name.replace('_', ' ')} differs from the model's "
                        f"own by {difference:.2g} of its value, more than {limit:g}: nothing was "
                        "written. Try another format or precision."
                    )
            if self.resized is not None and not self.resized <= max(limit, RESIZED_TOLERANCE):
                raise ParityError(
                    f"Where the exported model resizes images itself, its scores differ by "
                    f"{self.resized:.2g}: nothing was written."
                )
        drop = self.drop
        if precision == "int8" and drop is None:
            raise ParityError("8 bits are judged by labelled images of both kinds: give --data.")
        if drop is not None and drop > (LARGEST_DROP if precision != "fp32" else 1e-4):
            raise ParityError(
                f"The exported model ranks worse: AUROC {self.auroc_exported:.4f}, the model's own "
                f"{self.auroc:.4f} on {self.labelled} images; {LARGEST_DROP} may be lost to fewer "
                "bits. Nothing was written. Use --precision fp32 or fp16."
            )


def sample_images(card: ModelCard, count: int = 8) -> list[NDArray[np.uint8]]:
    """Images to compare where none are given: training images that the model keeps, and patterns.

    Args:
        card: of the model.
        count: of the training images at most.

    Returns:
        (H, W, 3) each, of different sizes.
    """
    height, width = card.image_size
    kept = [one.picture for one in (*card.shown_anomalies, *card.shown_normals)]
    pictures = [picture for picture in kept if picture is not None]
    chosen = np.linspace(0, len(pictures) - 1, min(count, len(pictures))).round().astype(int)
    found = [
        resize_pixels(pictures[i], (height + 10 * n, width + 10 * n)) for n, i in enumerate(chosen)
    ]
    random = np.random.default_rng(0)
    found += [
        random.integers(0, 256, (height, width, 3), dtype=np.uint8),
        random.integers(0, 256, (2 * height, width + 37, 3), dtype=np.uint8),
        np.full((height // 2, width // 2, 3), 127, dtype=np.uint8),
    ]
    ramp = np.linspace(0, 255, 2 * width).astype(np.uint8)
    found.append(np.broadcast_to(ramp[None, :, None], (height, 2 * width, 3)).copy())
    return found


def compare(
    own: Compute, exported: Compute, images: Sequence[NDArray[np.uint8]], size: ImageSize
) -> Parity:
    """Score a sample through both paths.

    Args:
        own: the model itself, on images of its own size.
        exported: the artefact, as written, on images of any size.
        images: (H, W, 3) each.
        size: the model's own.
    """
    largest: dict[str, float] = {}
    resized = 0.0
    for image in images:
        small = resize_pixels(image, size)[None]
        expected, found = own(small), exported(small)
        for name in COMPARED:
            if name in expected:
                distance = _apart(found[name], expected[name])
                largest[name] = max(largest.get(name, 0.0), distance)
        if image.shape[:2] != size:
            by_graph = exported(image[None])[SCORE]
            resized = max(resized, _apart(by_graph, expected[SCORE]))
    return Parity(images=len(images), differences=largest, resized=resized)


def compare_labelled(
    parity: Parity,
    own: Sequence[float],
    exported: Sequence[float],
    anomalous: Sequence[bool],
    decision: Decision | None,
) -> Parity:
    """The parity with what labelled images say.

    Args:
        parity: of a sample.
        own: scores of the model itself, of images of both kinds.
        exported: of the exported one, of the same images.
        anomalous: their labels.
        decision: the model's threshold.
    """
    apart = _apart(np.array(exported), np.array(own))
    moved = None
    if decision is not None:
        sides = [[decision.is_anomalous(score) for score in scores] for scores in (own, exported)]
        moved = sum(before != after for before, after in zip(*sides, strict=True))
    return replace(
        parity,
        differences={**parity.differences, SCORE: max(parity.differences[SCORE], apart)},
        labelled=len(own),
        auroc=auroc(anomalous, own),
        auroc_exported=auroc(anomalous, exported),
        other_side=moved,
    )


def _apart(found: NDArray[Any], expected: NDArray[Any]) -> float:
    distances = np.abs(found.astype(np.float64) - expected.astype(np.float64))
    return float((distances / np.maximum(np.abs(expected), 1.0)).max(initial=0.0))
