"""Parity: the distance of an exported model's results from the model's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ahl._common.errors import ParityError
from ahl._common.spacing import evenly_spaced
from ahl.data.images.resizing import resize_pixels
from ahl.model.card import ModelCard
from ahl.model.decision import Decision
from ahl.scoring.artefact import Precision
from ahl.scoring.metrics import auroc
from ahl.scoring.scorer import EVIDENCE, HEADS, HEAT_MAP, SCORE, Outputs

TOLERANCE: Final = 1e-4
"""Largest difference that single precision may cause, of a score and of all that it is made of,
relative to the value, or to 1 where it is smaller. 8 bits change every score a little, and are
judged by how well they rank."""

LARGEST_DROP: Final = 0.005
"""Of AUROC, for 8 bits."""

COMPARED: Final = (SCORE, HEADS, EVIDENCE, HEAT_MAP)

Compute = Callable[[NDArray[np.uint8]], Outputs]
"""Outputs of images (N, H, W, 3)."""


@dataclass(frozen=True, kw_only=True)
class Parity:
    """The result of a comparison.

    Attributes:
        images: compared.
        differences: the largest by output, relative to the value or to 1.
        labelled: labelled images that were scored by both; 0 if none were given.
        auroc: of the model itself on them; None without.
        auroc_exported: of the exported one.
        other_side: of them, images on another side of the model's threshold than by its own score;
            None without a threshold.
    """

    images: int
    differences: Mapping[str, float]
    labelled: int = 0
    auroc: float | None = None
    auroc_exported: float | None = None
    other_side: int | None = None

    @property
    def drop(self) -> float | None:
        """AUROC that the exported model loses; None without labelled images."""
        if self.auroc is None or self.auroc_exported is None:
            return None
        return self.auroc - self.auroc_exported

    def values(self) -> dict[str, Any]:
        """The comparison as JSON values."""
        return {**asdict(self), "differences": dict(self.differences), "drop": self.drop}

    def check(self, precision: Precision) -> None:
        """Refuse an exported model that is not the same.

        Raises:
            ParityError: if a difference, or the drop, is larger than its precision may cause.
        """
        if precision == "fp32":
            for name, difference in self.differences.items():
                if not difference <= TOLERANCE:  # put this way round, NaN is refused too
                    raise ParityError(
                        f"The exported model's {name.replace('_', ' ')} differs from the model's "
                        f"own by {difference:.2g} of its value, more than {TOLERANCE:g}: nothing "
                        "was written."
                    )
        drop = self.drop
        if precision == "int8" and drop is None:
            raise ParityError("8 bits are judged by labelled images of both kinds: give --data.")
        if drop is not None and drop > (LARGEST_DROP if precision == "int8" else TOLERANCE):
            raise ParityError(
                f"The exported model ranks worse: AUROC {self.auroc_exported:.4f}, the model's own "
                f"{self.auroc:.4f} on {self.labelled} images; {LARGEST_DROP} may be lost to 8 "
                "bits. Nothing was written. Leave out --int8."
            )


def sample_images(card: ModelCard, count: int = 8) -> list[NDArray[np.uint8]]:
    """Images to compare where none are given: training images that the model keeps, and patterns.

    Args:
        card: of the model.
        count: of the training images at most.

    Returns:
        (*image_size, 3) each.
    """
    height, width = card.image_size
    kept = [one.picture for one in (*card.shown_anomalies, *card.shown_normals)]
    pictures = [picture for picture in kept if picture is not None]
    random = np.random.default_rng(0)
    found = [pictures[i] for i in evenly_spaced(len(pictures), count)]
    found += [
        random.integers(0, 256, (side * height // 2, side * width // 2, 3), dtype=np.uint8)
        for side in (1, 2, 4)
    ]
    ramp = np.linspace(0, 255, width).astype(np.uint8)
    found += [
        np.full((height, width, 3), 127, dtype=np.uint8),
        np.broadcast_to(ramp[None, :, None], (height, width, 3)),
    ]
    return [resize_pixels(image, card.image_size) for image in found]


def compare(own: Compute, exported: Compute, images: Sequence[NDArray[np.uint8]]) -> Parity:
    """Score a sample through both paths.

    Args:
        own: the model itself.
        exported: the artefact, as written.
        images: (*image_size, 3) each.
    """
    largest: dict[str, float] = {}
    for image in images:
        expected, found = own(image[None]), exported(image[None])
        for name in COMPARED:
            if name in expected:
                distance = _apart(found[name], expected[name])
                largest[name] = max(largest.get(name, 0.0), distance)
    return Parity(images=len(images), differences=largest)


def compare_labelled(
    parity: Parity,
    own: Sequence[float],
    exported: Sequence[float],
    anomalous: Sequence[bool],
    decision: Decision | None,
) -> Parity:
    """Add the scores of labelled images.

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
