"""Near-copies by thumbnails: what is one photograph, and what only looks like it."""

import numpy as np
from PIL import Image

from ahl._common.callbacks import Callback
from ahl.data.likeness import near_copies
from small_images import blotched


def thumbnail(pixels):
    return np.asarray(Image.fromarray(pixels).convert("L").resize((64, 64)))


def shots(parts, lights):
    return np.stack([thumbnail(blotched(n, light)) for n in parts for light in lights])


def pairs_of(thumbnails, **options):
    return {pair[:2] for pair in near_copies(thumbnails, Callback(), **options)}


def test_six_exposures_of_a_part_are_one_photograph():
    pairs = pairs_of(shots(range(20), (0.4, 0.5, 0.6, 0.8, 1.0, 1.1)))
    assert {one // 6 for one, _ in pairs} == set(range(20))
    assert all(one // 6 == other // 6 for one, other in pairs)


def test_known_images_are_compared_with_the_others_only():
    kept, new = shots(range(12), (1.0, 0.8)), shots([3, 50], (0.6,))
    pairs = pairs_of(np.concatenate([kept, new]), known=len(kept))
    assert pairs == {(6, 24), (7, 24)}


def of_two_kinds(count):
    """Parts of two kinds with patterns that all of a kind have, and faint details of their own."""
    patterns = [blotched(number, 0.8).astype(float) for number in (900, 901)]
    made = []
    for number in range(count):
        own = blotched(number).astype(float) - 130
        pixels = patterns[number % 3 == 1] + 0.1 * own
        made.append(thumbnail(pixels.clip(0, 255).astype(np.uint8)))
    return np.stack(made)


def test_parts_of_one_kind_are_no_copies():
    assert pairs_of(of_two_kinds(60)) == set()
    copied = of_two_kinds(60)
    copied[59] = np.clip(copied[1] * 0.7, 0, 255)
    assert pairs_of(copied) == {(1, 59)}


def test_few_images_have_no_near_copies():
    assert pairs_of(shots(range(4), (1.0, 0.8))) == set()
    assert pairs_of(np.empty((0, 64, 64), dtype=np.uint8)) == set()
