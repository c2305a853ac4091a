import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ahl.distributions.augment.perlin import perlin_noise


def slow_perlin(height, width, rows, columns, seed):
    """The definition, pixel by pixel and corner by corner."""
    angles = np.random.default_rng(seed).uniform(0, 2 * math.pi, size=(rows + 1, columns + 1))

    def fade(t):
        return 6 * t**5 - 15 * t**4 + 10 * t**3

    noise = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            v, u = (i + 0.5) * rows / height, (j + 0.5) * columns / width
            for corner_v in (math.floor(v), math.floor(v) + 1):
                for corner_u in (math.floor(u), math.floor(u) + 1):
                    angle = angles[corner_v, corner_u]
                    gradient = math.cos(angle), math.sin(angle)
                    product = gradient[0] * (u - corner_u) + gradient[1] * (v - corner_v)
                    weight = fade(1 - abs(u - corner_u)) * fade(1 - abs(v - corner_v))
                    noise[i, j] += math.sqrt(2) * weight * product
    return noise


@pytest.mark.parametrize(
    ("height", "width", "rows", "columns"),
    [(8, 8, 1, 1), (12, 7, 3, 2), (9, 31, 4, 16), (16, 16, 16, 8), (5, 5, 7, 11), (1, 20, 1, 3)],
)
def test_equals_the_definition(height, width, rows, columns):
    noise = perlin_noise(height, width, rows=rows, columns=columns, random=np.random.default_rng(3))
    assert noise.dtype == np.float64
    np.testing.assert_allclose(noise, slow_perlin(height, width, rows, columns, 3), atol=1e-12)


@given(
    st.integers(1, 120),
    st.integers(1, 120),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(0, 999),
)
@settings(max_examples=60)
def test_shape_and_range(height, width, rows, columns, seed):
    random = np.random.default_rng(seed)
    noise = perlin_noise(height, width, rows=rows, columns=columns, random=random)
    assert noise.shape == (height, width)
    assert np.abs(noise).max() <= 1


def test_neighbours_are_close_and_the_mean_is_near_zero():
    noise = perlin_noise(256, 256, rows=8, columns=8, random=np.random.default_rng(0))
    assert np.abs(np.diff(noise, axis=0)).max() < 0.15
    assert np.abs(np.diff(noise, axis=1)).max() < 0.15
    assert abs(noise.mean()) < 0.1
    assert noise.std() > 0.1
