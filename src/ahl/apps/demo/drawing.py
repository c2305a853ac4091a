"""The demo's dataset: plates, good or with a defect, and a folder of them in benchmark layout.

Every defect is a function `(plate, rng, severity) -> None` that changes the plate's layers in one
place, severity from 0 (an inspector looks twice) to 1 (nobody misses it). To add one, write the
function and name it in `DEFECTS`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ahl._common.errors import ConfigurationError
from ahl._common.types import GOOD
from ahl.apps.demo.plate import LABELS, Field, Plate, make_plate, photograph, ramp, smooth_noise

Defect = Callable[[Plate, np.random.Generator, float], None]

_HALF: Final = 0.84
"""Half the side of the area that defects lie in."""


def scratch(plate: Plate, rng: np.random.Generator, severity: float) -> None:
    """A slightly curved groove with a bright floor, tapering to both ends."""
    length = 0.20 + 0.55 * severity
    angle = rng.uniform(0.25, np.pi - 0.25)  # never along the brushing, where none is seen
    direction = np.array([np.cos(angle), np.sin(angle)])
    bend = direction[::-1] * (-1, 1) * rng.normal(0.0, 0.06) * length
    along = np.linspace(-0.5, 0.5, 8)[:, None]
    points = _spot(rng, margin=0.18) + along * direction * length + (4 * along**2) * bend
    distance, position = _along_line(plate, points)
    taper = np.sqrt(np.clip(4 * position * (1 - position), 0, 1))
    width = np.maximum((0.006 + 0.005 * severity) * taper, 0.6 * plate.pixel)
    groove = (0.28 + 0.72 * severity) * taper * np.exp(-((distance / width) ** 2))
    plate.height -= 0.006 * groove
    fresh = np.maximum(plate.metal * 1.25, 0.62)  # metal under the finish
    plate.metal += (fresh - plate.metal) * (0.85 * groove)[..., None]
    plate.ink *= 1 - groove


def hole(plate: Plate, rng: np.random.Generator, severity: float) -> None:
    """A stray hole with a raised burr, where none belongs."""
    radius = 0.014 + 0.036 * severity
    distance = _distance(plate, rng, margin=0.10, squeeze=0.85)
    depth = 0.55 + 0.45 * min(1.0, 2 * severity)  # a small one is not quite through
    plate.solid *= 1 - depth * np.clip(0.5 - (distance - radius) / plate.pixel, 0, 1)
    plate.height += 0.008 * ramp(0.022, 0.0, np.abs(distance - radius - 0.012))


def crack(plate: Plate, rng: np.random.Generator, severity: float) -> None:
    """A jagged dark line, thinning to its tip."""
    length, pieces = 0.12 + 0.44 * severity, 9
    turns = rng.uniform(0, 2 * np.pi) + rng.normal(0.0, 0.45, pieces)
    steps = np.stack([np.cos(turns), np.sin(turns)], axis=1) * (length / pieces)
    start = _spot(rng, margin=0.2)
    points = np.concatenate([start[None], start + np.cumsum(steps, axis=0)])
    distance, position = _along_line(plate, points)
    width = (0.003 + 0.008 * severity) * (1 - 0.75 * position)
    # A crack thinner than a pixel still darkens it, in proportion.
    reach = np.maximum(width, 0.5 * plate.pixel)
    gap = ramp(1.6, 0.4, distance / reach) * np.minimum(width / reach + 0.35, 1)
    plate.solid *= 1 - (0.55 + 0.35 * severity) * gap
    plate.height += 0.002 * ramp(0.03, 0.0, distance)


def stain(plate: Plate, rng: np.random.Generator, severity: float) -> None:
    """A dried splash: a blotch with a ragged outline and a darker rim."""
    radius = rng.uniform(0.13, 0.24)
    distance = _distance(plate, rng, margin=0.16, squeeze=1.0) / radius
    side = plate.u.shape[0]
    ragged = distance + 0.11 * smooth_noise(rng, (side, side), (plate.size / 36,) * 2)
    body = ramp(1.08, 0.92, ragged) * (distance < 1.6)  # noise is unbounded, a splash is not
    soaked = (0.10 + 0.36 * severity) * body * (0.65 + 0.5 * ramp(0.70, 1.0, ragged))
    colour = (0.42, 0.56, 0.78) if rng.random() < 0.6 else (0.85, 0.62, 0.48)
    plate.metal *= 1 - soaked[..., None] * np.array(colour)


def missing_print(plate: Plate, rng: np.random.Generator, severity: float) -> None:
    """Print that did not take: a few ticks, part of a label, or all of it."""
    if rng.random() < 0.5:
        angle = np.deg2rad(rng.uniform(165, 375))
        off = np.angle(np.exp(1j * (np.arctan2(plate.v, plate.u) - angle)))
        ring = np.abs(np.hypot(plate.u, plate.v) - 0.49) < 0.06
        gone = ring * ramp(1.08, 0.95, np.abs(off) / np.deg2rad(9 + 36 * severity))
    else:
        v, height, text = LABELS[rng.integers(len(LABELS))]
        half = 0.32 * height * len(text)
        reach = (0.22 + 0.85 * severity) * 2 * half
        start = -half if rng.random() < 0.5 else half - reach
        across = np.abs(plate.u - start - reach / 2) - reach / 2
        gone = ramp(0.02, -0.01, across) * (np.abs(plate.v - v) < 0.8 * height)
    plate.ink = plate.ink * (1 - (0.80 + 0.20 * severity) * gone)


def dent(plate: Plate, rng: np.random.Generator, severity: float) -> None:
    """A soft hollow from a blow: one flank in shade, the other in light."""
    radius = rng.uniform(0.07, 0.12)
    distance = _distance(plate, rng, margin=0.20, squeeze=0.6) / radius
    # Flat beyond 1.4 radii: a dent ends somewhere.
    plate.height -= (0.06 + 0.30 * severity) * radius * ramp(1.4, 0.0, distance)


DEFECTS: Final[dict[str, Defect]] = {
    defect.__name__: defect for defect in (scratch, hole, crack, stain, missing_print, dent)
}
"""Every defect by its class name."""


def _spot(rng: np.random.Generator, *, margin: float) -> NDArray[np.float64]:
    """A place at least `margin` inside the area that defects lie in, (u, v)."""
    return rng.uniform(margin - _HALF, _HALF - margin, 2)


def _distance(plate: Plate, rng: np.random.Generator, *, margin: float, squeeze: float) -> Field:
    """Distance to a random spot; circles of it are ellipses squeezed by up to `squeeze`."""
    u, v = _spot(rng, margin=margin)
    ratio, turn = rng.uniform(squeeze, 1.0), rng.uniform(0, np.pi)
    across = (plate.u - u) * np.cos(turn) + (plate.v - v) * np.sin(turn)
    along = (plate.v - v) * np.cos(turn) - (plate.u - u) * np.sin(turn)
    distance: Field = np.hypot(across, along / ratio)
    return distance


def _along_line(plate: Plate, points: NDArray[np.float64]) -> tuple[Field, Field]:
    """Distance to an open line (N, 2) of straight pieces, and the foot's place on it in [0, 1]."""
    starts, steps = points[:-1, :, None, None], np.diff(points, axis=0)[:, :, None, None]
    u, v = plate.u - starts[:, 0], plate.v - starts[:, 1]  # (pieces, H, W)
    share = (u * steps[:, 0] + v * steps[:, 1]) / (steps**2).sum(axis=1)
    share = np.clip(share, 0.0, 1.0)
    distances = np.hypot(u - share * steps[:, 0], v - share * steps[:, 1])
    nearest = distances.argmin(axis=0)[None]
    position = (nearest + np.take_along_axis(share, nearest, axis=0)) / len(steps)
    return distances.min(axis=0), position[0]


SEEN_CLASSES: Final = ("scratch", "hole")
"""Defect classes that have examples in the training folder."""

UNSEEN_CLASSES: Final = ("crack", "stain", "missing_print", "dent")
"""Defect classes that appear in the test folder only."""

SEVERITIES: Final = (0.0, 0.7)
"""Range of the dataset's defects: some are as hard to find as on real parts."""


def draw_part(
    seed: tuple[int, ...], *, size: int = 256, defect: str | None = None, severity: float = 0.5
) -> NDArray[np.uint8]:
    """Draw one plate, good or with one defect.

    The same seed gives the same plate, light and noise with and without a defect, so two
    drawings differ by the defect alone.

    Args:
        seed: non-negative integers that name the plate.
        size: side of the picture in pixels, at least 64.
        defect: a name of `DEFECTS`, or None for a good plate.
        severity: of the defect, from 0 (subtle) to 1 (obvious).

    Returns:
        (size, size, 3), uint8.

    Raises:
        ConfigurationError: `size` or `severity` out of range, or no such defect.
    """
    if size < 64:
        raise ConfigurationError(f"size is {size}; the plate needs at least 64 pixels")
    if not 0 <= severity <= 1:
        raise ConfigurationError(f"severity is {severity}; it must lie in [0, 1]")
    if defect is not None and defect not in DEFECTS:
        raise ConfigurationError(f"unknown defect {defect!r}; expected one of {', '.join(DEFECTS)}")
    plate_rng, defect_rng, camera_rng = (np.random.default_rng((*seed, part)) for part in range(3))
    plate = make_plate(plate_rng, size)
    if defect is not None:
        DEFECTS[defect](plate, defect_rng, severity)
    return photograph(plate, camera_rng)


def draw_dataset(
    root: Path,
    *,
    seed: int = 0,
    size: int = 256,
    train_good: int = 120,
    train_per_class: int = 5,
    test_good: int = 60,
    test_per_class: int = 20,
) -> None:
    """Draw a whole dataset of PNG files: same arguments, same bytes.

    Writes `root/train/good`, `root/train/<class>` for the seen classes, `root/test/good`
    and `root/test/<class>` for seen and unseen classes, files `000.png` and on. Existing
    files of these names are replaced; others are left alone. No two images share a plate.

    Args:
        root: folder of the dataset, made when it is missing.
        seed: of every draw.
        size: side of the pictures in pixels, at least 64.
        train_good: good images for training.
        train_per_class: images of each seen class for training.
        test_good: good images for the test.
        test_per_class: images of each class for the test.

    Raises:
        ConfigurationError: if `size` is out of range.
    """
    folders = [("train", GOOD, train_good)]
    folders += [("train", name, train_per_class) for name in SEEN_CLASSES]
    folders += [("test", GOOD, test_good)]
    folders += [("test", name, test_per_class) for name in SEEN_CLASSES + UNSEEN_CLASSES]
    for index, (split, class_name, count) in enumerate(folders):
        folder = root / split / class_name
        folder.mkdir(parents=True, exist_ok=True)
        defect = None if class_name == GOOD else class_name
        # Evenly spread, so that every class has harder and easier cases; then shuffled.
        severities = np.linspace(*SEVERITIES, count)
        np.random.default_rng((seed, index)).shuffle(severities)
        for number, severity in enumerate(severities):
            pixels = draw_part((seed, index, number), size=size, defect=defect, severity=severity)
            Image.fromarray(pixels).save(folder / f"{number:03d}.png", compress_level=4)
