"""A model trained on drawn images, for timings that do not depend on what it has learnt."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ahl.config import DEFAULT_BACKBONE

if TYPE_CHECKING:
    from ahl import AHL

Pixels = NDArray[np.uint8]


def draw(count: int, side: int, *, square: bool, seed: int) -> list[Pixels]:
    """Draw images of smooth noise, with a bright square if `square` is set."""
    random = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        coarse = random.integers(60, 190, (8, 8, 3), dtype=np.uint8)
        image = np.asarray(Image.fromarray(coarse).resize((side, side))).copy()
        if square:
            y, x = random.integers(0, side - 24, 2)
            image[y : y + 24, x : x + 24] = 250
        images.append(image)
    return images


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `train` reads."""
    parser.add_argument("--backbone", default=DEFAULT_BACKBONE)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--pad-type", help="as in --backbone-arg pad_type=same")
    parser.add_argument("--normals", type=int, default=200, help="that the model is trained on")
    parser.add_argument("--side", type=int, default=224)


def train(options: argparse.Namespace) -> AHL:
    """Train a detector for one epoch."""
    from ahl import AHL  # torch takes seconds
    from ahl.config import default

    config = default()
    detector = AHL(
        backbone=options.backbone,
        weights=options.weights,
        backbone_arguments={"pad_type": options.pad_type} if options.pad_type else {},
        config=replace(config, learning=replace(config.learning, epochs=1)),
        image_size=options.side,
        cache=None,
    )
    good = draw(options.normals, options.side, square=False, seed=0)
    return detector.fit(good, draw(10, options.side, square=True, seed=1))
