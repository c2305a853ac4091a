"""Groups of drawn photographs: one material, one camera, good ones and ones with defects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ahl.synthetic.camera import Camera
from ahl.synthetic.canvas import Picture, canvas_of
from ahl.synthetic.defects import DEFECTS, Defect, draw_defect
from ahl.synthetic.materials import FAMILIES, draw_family, draw_texture

NORMALS: Final = 4
"""Good ones in a group."""

LIKE: Final = 3
"""Ones with the group's first kind of defect."""

MASKS: Final = LIKE + 1
PICTURES: Final = NORMALS + LIKE + 2
"""In a group: the good ones, those with the first kind of defect, a good one, and its twin with
a defect drawn anew. In this order wherever a group is kept or learned from."""

DEFECTIVE_PICTURES: Final = (*range(NORMALS, NORMALS + LIKE), PICTURES - 1)
"""Places of the pictures that the masks belong to."""

SOUND, UNSURE, DEFECTIVE = 0, 1, 2
"""Values of a mask; from 2 on, 2 + 2 * the kind's place in `DEFECTS` + 1 where it is brighter."""

CLASSES: Final = 2 * len(DEFECTS)
"""Kinds of defect, darker and brighter ones apart."""

_VISIBLE, _TRACE = 0.04, 0.01  # change of a pixel in a photograph without noise, in 0..1
_FEWEST_PIXELS = 6
_ATTEMPTS = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawnGroup:
    """Photographs of one material.

    Attributes:
        normals: (4, S, S, 3) uint8.
        like: (3, S, S, 3) uint8, each with a defect of one kind.
        sound: (S, S, 3) uint8, good.
        spoilt: (S, S, 3) uint8, the very picture of `sound` with a defect drawn anew (one time in
            nine of the same kind, with other constants), under light of its own.
        masks: (4, S, S) uint8, of the three in `like` and of `spoilt`: where the picture before
            the camera has changed. A grey camera may show less, and now and then a defect shows
            nowhere.
        family: the material's place in `FAMILIES`.
    """

    normals: NDArray[np.uint8]
    like: NDArray[np.uint8]
    sound: NDArray[np.uint8]
    spoilt: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    family: int


def draw_group(size: int, random: np.random.Generator) -> DrawnGroup:
    """Draw a material, its camera, two kinds of defect, and nine photographs.

    Args:
        size: side S in pixels; materials are made for about 128.
        random: source of everything.
    """
    canvas = canvas_of(size)
    family = draw_family(random)
    material, camera = family(canvas, random), Camera.draw(random)
    foreign = draw_texture(canvas, random)
    first, second = draw_defect(canvas, random), draw_defect(canvas, random)
    # Under noise a change must be larger to be seen; an area shows before a pixel does.
    visible = (_VISIBLE + camera.noise) / camera.contrast
    trace = _TRACE / camera.contrast

    def draw() -> Picture:
        return np.clip(material(random), 0, 1)

    def spoil(picture: Picture, kind: tuple[Defect, int]) -> tuple[Picture, NDArray[np.uint8]]:
        defect, place = kind
        for _ in range(_ATTEMPTS):  # on some pictures, in some places, a defect does not show
            spoilt = np.clip(defect(picture, random, foreign), 0, 1)
            change = np.abs(spoilt - picture).max(axis=-1)
            if (change > visible).sum() >= _FEWEST_PIXELS:
                break
        brighter = bool((spoilt - picture).sum() > 0)
        mask = np.where(change > trace, UNSURE, SOUND)
        mask = np.where(change > visible, DEFECTIVE + 2 * place + brighter, mask)
        return spoilt, mask.astype(np.uint8)

    def shoot(picture: Picture) -> NDArray[np.uint8]:
        return camera.shoot(canvas, picture, random)

    normals = [shoot(draw()) for _ in range(NORMALS)]
    like, masks = [], []
    for _ in range(LIKE):
        spoilt, mask = spoil(draw(), first)
        like.append(shoot(spoilt))
        masks.append(mask)
    picture = draw()
    spoilt, mask = spoil(picture, second)
    return DrawnGroup(
        normals=np.stack(normals),
        like=np.stack(like),
        sound=shoot(picture),
        spoilt=shoot(spoilt),
        masks=np.stack([*masks, mask]),
        family=list(FAMILIES).index(family),
    )
