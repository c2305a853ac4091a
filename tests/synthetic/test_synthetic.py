"""Drawn images: seeded, endless, and what they claim to show."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ahl.errors import ConfigurationError
from ahl.synthetic import CLASSES, FAMILIES, draw_group
from ahl.synthetic.camera import Camera
from ahl.synthetic.canvas import canvas_of
from ahl.synthetic.defects import DEFECTS
from ahl.synthetic.groups import DEFECTIVE, LIKE, NORMALS, SOUND, UNSURE
from ahl.synthetic.materials import draw_texture

SIZE = 64
CANVAS = canvas_of(SIZE)


def material_of(family, seed=0):
    return family(CANVAS, np.random.default_rng(seed))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
class TestFamilies:
    def test_gives_finite_pictures(self, family):
        for seed in range(12):  # the constants choose among ways to draw
            picture = material_of(family, seed)(np.random.default_rng(seed))
            assert picture.shape == (SIZE, SIZE, 3)
            assert np.isfinite(picture).all()

    def test_one_seed_draws_one_picture(self, family):
        first, second = (material_of(family)(np.random.default_rng(1)) for _ in range(2))
        np.testing.assert_array_equal(first, second)

    def test_never_the_same_twice(self, family):
        for seed in range(4):
            material, random = material_of(family, seed), np.random.default_rng(seed)
            assert not np.array_equal(material(random), material(random))

    def test_a_material_is_more_like_itself_than_like_another(self, family):
        """By the histogram of its grey values, over many materials."""
        prints = []
        for seed in range(24):
            material, random = material_of(family, seed), np.random.default_rng(seed)
            prints.append([histogram(material(random)) for _ in range(2)])
        prints = np.array(prints)
        own = np.abs(prints[:, 0] - prints[:, 1]).sum(axis=1)
        foreign = np.abs(prints[:, 0] - np.roll(prints[:, 1], 1, axis=0)).sum(axis=1)
        assert np.median(own) < 0.6 * np.median(foreign)


def histogram(picture):
    grey = np.clip(picture, 0, 1).mean(axis=-1)
    return np.histogram(grey, bins=16, range=(0, 1))[0] / grey.size


@pytest.mark.parametrize("name", DEFECTS)
class TestDefects:
    def spoil(self, name, seed):
        constants, random = np.random.default_rng(seed), np.random.default_rng(seed + 100)
        picture = np.clip(material_of(list(FAMILIES)[seed % len(FAMILIES)], seed)(random), 0, 1)
        foreign = draw_texture(CANVAS, constants)
        return picture, DEFECTS[name][0](CANVAS, constants)(picture, random, foreign)

    def test_changes_a_part_of_the_picture(self, name):
        shares = []
        for seed in range(18):
            before, after = self.spoil(name, seed)
            assert after.shape == before.shape
            assert np.isfinite(after).all()
            change = np.abs(np.clip(after, 0, 1) - before).max(axis=-1)
            shares.append((change > 0.015).mean())
        # Some defects do not show on some materials, and a few cover a small picture.
        assert np.median(shares) > 0
        assert np.median(shares) < 0.6

    def test_leaves_its_input_alone(self, name):
        constants, random = np.random.default_rng(3), np.random.default_rng(4)
        picture = np.clip(material_of(next(iter(FAMILIES)))(random), 0, 1)
        kept = picture.copy()
        DEFECTS[name][0](CANVAS, constants)(picture, random, draw_texture(CANVAS, constants))
        np.testing.assert_array_equal(picture, kept)


@given(st.integers(0, 2**32))
@settings(max_examples=25)
def test_groups_hold_what_they_promise(seed):
    group = draw_group(SIZE, np.random.default_rng(seed))
    assert group.normals.shape == (NORMALS, SIZE, SIZE, 3)
    assert group.like.shape == (LIKE, SIZE, SIZE, 3)
    assert group.sound.shape == group.spoilt.shape == (SIZE, SIZE, 3)
    assert group.masks.shape == (LIKE + 1, SIZE, SIZE)
    for pictures in (group.normals, group.like, group.sound, group.spoilt, group.masks):
        assert pictures.dtype == np.uint8
    values = set(np.unique(group.masks).tolist())
    assert values <= {SOUND, UNSURE, *range(DEFECTIVE, DEFECTIVE + CLASSES)}
    # The like ones share a kind.
    defective = group.masks[:LIKE][group.masks[:LIKE] >= DEFECTIVE]
    assert len({(value - DEFECTIVE) // 2 for value in defective.tolist()}) <= 1
    assert group.family in range(len(FAMILIES))


def test_what_is_too_small_to_draw_on_is_refused():
    with pytest.raises(ConfigurationError, match="64 pixels"):
        draw_group(32, np.random.default_rng(0))


def test_groups_are_seeded():
    first, second = (draw_group(SIZE, np.random.default_rng(7)) for _ in range(2))
    for name in ("normals", "like", "sound", "spoilt", "masks"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_most_defects_show():
    groups = [draw_group(SIZE, np.random.default_rng(seed)) for seed in range(30)]
    shown = [(mask >= DEFECTIVE).any() for group in groups for mask in group.masks]
    assert np.mean(shown) > 0.75


def test_where_the_mask_is_clean_nothing_but_light_and_noise_differs():
    """The spoilt picture is the sound one, but for the defect and the camera."""
    ratios = []
    for seed in range(30):
        group = draw_group(SIZE, np.random.default_rng(seed))
        defective, clean = group.masks[-1] >= DEFECTIVE, group.masks[-1] == SOUND
        if defective.sum() < 20 or clean.sum() < 20:
            continue
        change = group.spoilt.astype(float) - group.sound
        change -= np.median(change[clean], axis=0)
        ratios.append(np.abs(change[defective]).mean() / (np.abs(change[clean]).mean() + 0.5))
    assert np.median(ratios) > 1.5  # cameras are noisy


def test_a_camera_stays_the_same_camera():
    """Its light wavers less than cameras differ."""
    grey = np.full((SIZE, SIZE, 3), 0.5)
    means = []
    for seed in range(30):
        random = np.random.default_rng(seed)
        camera = Camera.draw(random)
        means.append([camera.shoot(CANVAS, grey, random).mean() for _ in range(4)])
    means = np.array(means)
    assert np.median(means.std(axis=1)) < 0.5 * means.mean(axis=1).std()
