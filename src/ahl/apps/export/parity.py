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
"""Largest difference that is accepted in single precision, of a score and of its parts, relative to
the value, or to 1 if that is smaller. 8 bits change every score a little, and are judged by the
AUROC."""

LARGEST_DROP: Final = 0.005
"""Largest drop in AUROC that is accepted for 8 bits."""

COMPARED: Final = (SCORE, HEADS, EVIDENCE, HEAT_MAP)

Compute = Callable[[NDArray[np.uint8]], Outputs]
"""Computes the outputs for images (N, H, W, 3)."""


@dataclass(frozen=True, kw_only=True)
class Parity:
    """Comparison of an exported model with the model itself.

    Attributes:
        images: number of unlabelled images compared.
        differences: the largest of each output, relative to the value or to 1.
        labelled: labelled images that were scored by both; 0 if none were given.
        auroc: of the model itself on them; None without them.
        auroc_exported: of the exported one.
        other_side: those of them whose two scores lie on different sides of the model's threshold;
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
        """Check that the exported model scores as the model itself does.

        Raises:
            ParityError: if a difference, or the drop, is larger than is accepted for its precision,
                or 8 bits were not compared on labelled images.
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
            raise ParityError(
                "--int8 needs good images and defects to compare the scores on: give --data."
            )
        if drop is not None and drop > (LARGEST_DROP if precision == "int8" else TOLERANCE):
            raise ParityError(
                f"The exported model ranks worse: AUROC {self.auroc_exported:.4f}, the model's "
                f"own {self.auroc:.4f} on {self.labelled} images; {LARGEST_DROP} is the most that "
                "8 bits may cost. Nothing was written. Leave out --int8."
            )


def sample_images(card: ModelCard, count: int = 8) -> list[NDArray[np.uint8]]:
    """Images to compare where none are given: training images that the model keeps, and patterns.

    Args:
        card: of the model.
        count: most training images.

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
    """Compare the outputs of both models on some images.

    Args:
        own: the model itself.
        exported: the exported model, as written.
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
    """Add the comparison on labelled images to a parity.

    Args:
        parity: from `compare`.
        own: scores of images of both kinds by the model itself.
        exported: scores of the same images by the exported one.
        anomalous: their labels.
        decision: the model's threshold; None without one.
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
