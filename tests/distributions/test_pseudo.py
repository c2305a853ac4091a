"""Which pseudo anomalies are planned, and that each is made from what it says."""

from dataclasses import dataclass

import numpy as np
import pytest

from ahl._common.types import ImageItem
from ahl.config import DistributionConfig
from ahl.distributions.augment.base import PseudoAnomalyGenerator, tampered
from ahl.distributions.episodes import make_episodes
from ahl.distributions.pseudo import PseudoAnomaly, plan_pseudo_anomalies, pseudo_items


@dataclass(frozen=True, kw_only=True)
class Recorder(PseudoAnomalyGenerator):
    """Writes down what it was given, in the pixels."""

    name = "recorder"
    strength: int = 1

    def __call__(self, image, source, random):
        made = image.copy()
        made[0, 0] = image[1, 1, 0], source[1, 1, 0], self.strength
        made[0, 1] = random.integers(0, 256, size=3)
        return made


GENERATORS = (Recorder(strength=1), Recorder(strength=2))


def normal_item(number, key=None):
    def load():
        return np.full((4, 4, 3), number, dtype=np.uint8)

    return ImageItem(name=f"good/{number}.png", key=key or f"content {number}", load=load)


def items(plan, count=6, seed=0, generators=GENERATORS, shift=0):
    normals = [normal_item(number + shift) for number in range(count)]
    return pseudo_items(plan, normals, generators, seed=seed)


def everything(count=6):
    return [PseudoAnomaly(generator=g, normal=n) for g in (0, 1) for n in range(count)]


def episodes(seed=0, generators=3):
    return make_episodes(np.arange(30) % 3, 4, generators, DistributionConfig(), seed=seed)


def test_the_plan_is_what_the_sets_use_once_each_in_order():
    used = set()
    for episode in episodes():
        for samples in (episode.support, episode.query):
            used |= {(samples.generator, int(normal)) for normal in samples.twins}
    plan = plan_pseudo_anomalies(episodes())
    assert [(entry.generator, entry.normal) for entry in plan] == sorted(used)
    assert len({entry.generator for entry in plan}) > 1


def test_without_generators_nothing_is_planned():
    assert plan_pseudo_anomalies(episodes(generators=0)) == []


@pytest.mark.parametrize("seed", range(5))
def test_each_is_made_by_its_generator_from_its_normal_and_another(seed):
    plan = everything()
    for entry, item in zip(plan, items(plan, seed=seed), strict=True):
        of, source, strength = item.load()[0, 0].tolist()
        assert of == entry.normal
        assert source != entry.normal
        assert 0 <= source < 6
        assert strength == GENERATORS[entry.generator].strength
        assert f"good/{entry.normal}.png" in item.name


def test_sources_vary():
    plan = everything()
    sources = {item.load()[0, 0, 1] for item in items(plan)}
    assert len(sources) > 3


def test_a_lone_normal_is_its_own_source():
    (item,) = items([PseudoAnomaly(generator=0, normal=0)], count=1)
    assert item.load()[0, 0].tolist() == [0, 0, 1]


def test_loading_again_and_making_fewer_gives_the_same_pixels():
    plan = everything()
    whole = dict(zip(plan, items(plan), strict=True))
    for entry, item in zip(plan[::3], items(plan[::3]), strict=True):
        assert item.key == whole[entry].key
        np.testing.assert_array_equal(item.load(), whole[entry].load())
        np.testing.assert_array_equal(item.load(), item.load())


def test_equal_keys_mean_equal_pixels_and_nothing_else_does():
    """A key is what the feature cache knows an image by."""
    plan = everything()
    made = [
        *items(plan),
        *items(plan, seed=1),
        *items(plan, count=5 + 1, shift=1),
        *items(plan, generators=(Recorder(strength=3), Recorder(strength=1))),
        *items(plan),
    ]
    pixels_of = {}
    for item in made:
        pixels = item.load().tobytes()
        assert pixels_of.setdefault(item.key, pixels) == pixels
    assert len(set(pixels_of.values())) == len(pixels_of)
    assert len(pixels_of) > 2 * len(plan)


@pytest.mark.parametrize("change", ["seed", "generator", "normal", "source"])
def test_whatever_changes_the_pixels_changes_the_key(change):
    plan = [PseudoAnomaly(generator=0, normal=0)]
    normals = [normal_item(0), normal_item(1)]
    (first,) = pseudo_items(plan, normals, GENERATORS, seed=0)
    seed = 1 if change == "seed" else 0
    generators = GENERATORS[::-1] if change == "generator" else GENERATORS
    if change == "normal":
        normals = [normal_item(7), normal_item(1)]
    if change == "source":
        normals = [normal_item(0), normal_item(7)]
    (other,) = pseudo_items(plan, normals, generators, seed=seed)
    assert other.key != first.key
    assert (other.load() != first.load()).any()


def test_in_tiles_one_tile_alone_is_tampered_with():
    class Inverting(Recorder):
        def __call__(self, image, source, random):
            return 255 - image

    plan = [PseudoAnomaly(generator=0, normal=0)]
    pixels = np.zeros((40, 100, 3), np.uint8)
    normals = [ImageItem(name=str(i), key=str(i), load=lambda: pixels) for i in range(2)]
    whole, tiled = (
        pseudo_items(plan, normals, [Inverting()], seed=0, tiles=tiles)[0] for tiles in (0, 16)
    )
    assert tiled.key != whole.key
    changed = (tiled.load() == 255).all(axis=2)
    rows, columns = np.nonzero(changed)
    assert changed.sum() == 16 * 16
    assert (np.ptp(rows), np.ptp(columns)) == (15, 15)
    assert not pixels.any()


def test_a_tile_takes_its_material_from_the_same_place_of_the_source():
    """Parts are alike place by place: a whole other image squeezed into a tile is no defect."""
    given = []

    class Keeping(Recorder):
        def __call__(self, image, source, random):
            given.append((image, source))
            return 255 - image

    picture = np.random.default_rng(0).integers(0, 255, (40, 100, 3), dtype=np.uint8)
    random = np.random.default_rng(1)
    made = tampered(Keeping(), picture, 255 - picture, random, tiles=16)
    ((image, source),) = given
    assert image.shape == (16, 16, 3)
    assert np.array_equal(source, 255 - image)
    assert (made != picture).any(axis=2).sum() > 200
    assert not np.shares_memory(made, picture)


def test_a_new_version_of_a_generator_changes_the_key():
    class Newer(Recorder):
        version = 2

    plan = [PseudoAnomaly(generator=0, normal=0)]
    normals = [normal_item(0), normal_item(1)]
    (first,) = pseudo_items(plan, normals, [Recorder()], seed=0)
    (newer,) = pseudo_items(plan, normals, [Newer()], seed=0)
    assert newer.key != first.key
