"""Graphs resize images to the very pixels that scoring sees."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ahl.apps.export.resizing import SingleResize, resize_like_pillow
from ahl.data.images.reading import resize_pixels

SIDES = st.integers(8, 600) | st.integers(1, 40)
SIZES = st.sampled_from([(224, 224), (416, 480), (96, 256)])
SMALL = st.tuples(st.integers(1, 40), st.integers(1, 40))


@pytest.mark.parametrize("single", [False, True], ids=["double", "single"])
@settings(max_examples=40, deadline=None)
@given(height=SIDES, width=SIDES, size=SIZES | SMALL, seed=st.integers(0, 99))
@example(448, 261, (224, 224), 0)  # in one call Pillow 13 takes the height first
@example(300, 261, (224, 224), 0)
@example(448, 350, (224, 224), 0)
def test_every_pixel_is_that_of_resize_pixels(single, height, width, size, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    images = torch.from_numpy(image[None])
    found = SingleResize(size)(images) if single else resize_like_pillow(images, size)
    np.testing.assert_array_equal(found[0].numpy(), resize_pixels(image, size))
