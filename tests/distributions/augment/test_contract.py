"""What every pseudo-anomaly generator promises.

To check a generator of your own, add an instance of it to `GENERATORS`.
"""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ahl.distributions.augment import PseudoAnomalyGenerator, default_generators

GENERATORS: tuple[PseudoAnomalyGenerator, ...] = (*default_generators(),)

SIDES = st.integers(8, 96) | st.sampled_from([8, 9, 400])
SHAPES = st.tuples(SIDES, SIDES, st.just(3))
SEEDS = st.integers(0, 2**32 - 1)

every_generator = pytest.mark.parametrize("generator", GENERATORS, ids=lambda each: each.name)


def noise_image(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, size=shape, dtype=np.uint8)


@every_generator
@given(shape=SHAPES, source_shape=SHAPES, seed=SEEDS)
@settings(max_examples=60)
def test_any_size_gives_a_different_image_of_that_size(generator, shape, source_shape, seed):
    image, source = noise_image(shape, seed), noise_image(source_shape, seed + 1)
    image_before, source_before = image.copy(), source.copy()

    tampered = generator(image, source, np.random.default_rng(seed))

    assert tampered.shape == image.shape
    assert tampered.dtype == np.uint8
    assert (tampered != image).any()
    np.testing.assert_array_equal(image, image_before)
    np.testing.assert_array_equal(source, source_before)


@every_generator
@given(shape=SHAPES, seed=SEEDS, level=st.integers(0, 255))
@settings(max_examples=30)
def test_flat_images_differ_too(generator, shape, seed, level):
    flat = np.full(shape, level, dtype=np.uint8)
    tampered = generator(flat, flat, np.random.default_rng(seed))
    assert (tampered != flat).any()
    assert (tampered == flat).any(), "an anomaly is local"


@every_generator
@pytest.mark.parametrize("seed", range(8))
def test_source_may_be_the_image_itself(generator, seed):
    image = noise_image((33, 47, 3))
    before = image.copy()
    tampered = generator(image, image, np.random.default_rng(seed))
    np.testing.assert_array_equal(image, before)
    assert (tampered != image).any()


@every_generator
def test_equal_states_give_equal_pixels(generator):
    image, source = noise_image((40, 56, 3)), noise_image((64, 32, 3), 1)
    for seed in range(8):
        random, twin = np.random.default_rng(seed), np.random.default_rng(seed)
        for _ in range(3):
            np.testing.assert_array_equal(
                generator(image, source, random), generator(image, source, twin)
            )
        assert random.random() == twin.random(), "the same draws were used up"


@every_generator
def test_other_states_give_other_pixels(generator):
    image, source = noise_image((64, 64, 3)), noise_image((64, 64, 3), 1)
    random = np.random.default_rng(0)
    results = {generator(image, source, random).tobytes() for _ in range(20)}
    assert len(results) == 20


@every_generator
def test_global_random_state_is_neither_used_nor_touched(generator):
    image, source = noise_image((32, 32, 3)), noise_image((32, 32, 3), 1)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    generator(image, source, np.random.default_rng(0))
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@every_generator
def test_result_is_writable_memory_of_its_own(generator):
    image, source = noise_image((32, 32, 3)), noise_image((32, 32, 3), 1)
    for seed in range(8):
        tampered = generator(image, source, np.random.default_rng(seed))
        assert not np.shares_memory(tampered, image)
        assert not np.shares_memory(tampered, source)
        assert tampered.flags.writeable


@every_generator
@pytest.mark.parametrize("seed", range(4))
def test_read_only_and_strided_inputs_serve(generator, seed):
    image, source = noise_image((30, 40, 3)), noise_image((40, 30, 3), 1)
    expected = generator(image, source, np.random.default_rng(seed))
    strided, strided_source = image.repeat(2, axis=1)[:, ::2], np.asfortranarray(source)
    strided.flags.writeable = strided_source.flags.writeable = False
    tampered = generator(strided, strided_source, np.random.default_rng(seed))
    np.testing.assert_array_equal(tampered, expected)


@every_generator
def test_settings_are_plain_json(generator):
    found = generator.settings()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["name"] == generator.name == generator.name.lower()
    assert found["version"] == generator.version >= 1


def test_names_are_unique():
    names = [generator.name for generator in GENERATORS]
    assert len(set(names)) == len(names)


def test_default_generators_keep_their_order():
    assert [generator.name for generator in default_generators()] == [
        "cutmix",
        "cutpaste",
        "draem",
    ]
