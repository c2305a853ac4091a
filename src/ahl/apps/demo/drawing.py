"""The demo's dataset: one drawing per image, and a folder of them in benchmark layout."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ahl._common.errors import ConfigurationError
from ahl._common.types import GOOD
from ahl.apps.demo.defects import DEFECTS
from ahl.apps.demo.plate import make_plate, photograph

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
        defect: a name of `ahl.apps.demo.defects.DEFECTS`, or None for a good plate.
        severity: of the defect, from 0 (subtle) to 1 (obvious).

    Returns:
        (size, size, 3).

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
