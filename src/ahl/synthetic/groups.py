"""Groups of drawn photographs: one material, one camera, good ones and ones with defects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ahl.synthetic.camera import draw_camera
from ahl.synthetic.canvas import Picture, canvas_of
from ahl.synthetic.defects import Defect, draw_defect
from ahl.synthetic.materials import draw_material, draw_texture

NORMALS: Final = 4
"""Good ones in a group."""

LIKE: Final = 3
"""Ones with the group's first kind of defect."""

SOUND, UNSURE, DEFECTIVE = 0, 1, 2
"""Values of a mask; from 2 on, 2 + the kind's place in `DEFECTS`."""

_VISIBLE, _TRACE = 0.06, 0.015  # change of a pixel, in 0..1
_FEWEST_PIXELS = 6
_ATTEMPTS = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawnGroup:
    """Photographs of one material.

    Attributes:
        normals: (4, S, S, 3) uint8.
        like: (3, S, S, 3) uint8, each with a defect of one kind.
        sound: (S, S, 3) uint8, good.
        spoilt: (S, S, 3) uint8, the very picture of `sound` with a defect of another kind, under
            light of its own.
        masks: (4, S, S) uint8, of the three in `like` and of `spoilt`.
    """

    normals: NDArray[np.uint8]
    like: NDArray[np.uint8]
    sound: NDArray[np.uint8]
    spoilt: NDArray[np.uint8]
    masks: NDArray[np.uint8]


def draw_group(size: int, random: np.random.Generator) -> DrawnGroup:
    """Draw a material, its camera, two kinds of defect, and nine photographs.

    Args:
        size: side S in pixels; materials are made for about 128.
        random: source of everything.
    """
    canvas = canvas_of(size)
    material, camera = draw_material(canvas, random), draw_camera(canvas, random)
    foreign = draw_texture(canvas, random)
    first, second = draw_defect(canvas, random), draw_defect(canvas, random)

    def draw() -> Picture:
        return np.clip(material(random), 0, 1)

    def spoil(picture: Picture, kind: tuple[Defect, int]) -> tuple[Picture, NDArray[np.uint8]]:
        defect, place = kind
        for _ in range(_ATTEMPTS):  # on some pictures, in some places, a defect does not show
            spoilt = np.clip(defect(picture, random, foreign), 0, 1)
            change = np.abs(spoilt - picture).max(axis=-1)
            if (change > _VISIBLE).sum() >= _FEWEST_PIXELS:
                break
        mask = np.where(change > _TRACE, UNSURE, SOUND)
        return spoilt, np.where(change > _VISIBLE, DEFECTIVE + place, mask).astype(np.uint8)

    normals = [camera(draw(), random) for _ in range(NORMALS)]
    like, masks = [], []
    for _ in range(LIKE):
        spoilt, mask = spoil(draw(), first)
        like.append(camera(spoilt, random))
        masks.append(mask)
    picture = draw()
    spoilt, mask = spoil(picture, second)
    return DrawnGroup(
        normals=np.stack(normals),
        like=np.stack(like),
        sound=camera(picture, random),
        spoilt=camera(spoilt, random),
        masks=np.stack([*masks, mask]),
    )
