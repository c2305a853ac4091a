"""The memory of normal patches against plain loops."""

import numpy as np
import pytest
import torch

from ahl._common.schema import base_of
from ahl.config import MemoryConfig
from ahl.evidence.coreset import draw_patches, greedy_coreset, patches_of
from ahl.evidence.memory import LOWEST, Memory, MemoryConstants, build_memory
from ahl.features.maps import FeatureLayout, append_channels
from ahl.features.table import FeatureTable

LAYOUT = FeatureLayout(((5, 4, 3), (5, 2, 2)))
CONFIG = MemoryConfig(patches=12, candidates=60, weight=7.0, highest=4.0)


def table(count, seed=0, shift=0.0):
    rows = np.random.default_rng(seed).normal(shift, 1.0, (count, LAYOUT.row_size))
    return FeatureTable.of_rows(LAYOUT, rows.astype(np.float16))


def plain_patches(rows, scale):
    """Mean over each position's neighbours that exist, by loops: (N, H * W, C)."""
    maps = LAYOUT.split(rows)[scale].double().numpy()
    count, channels, height, width = maps.shape
    out = np.zeros((count, height * width, channels))
    for y in range(height):
        for x in range(width):
            around = maps[:, :, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
            out[:, y * width + x] = around.mean(axis=(2, 3))
    return out


def plain_distances(patches, remembered, owners, image_of):
    """Nearest remembered patch of another image, by loops."""
    out = np.full(patches.shape[:2], np.inf)
    for n, image in enumerate(patches):
        for p, patch in enumerate(image):
            for owner, one in zip(owners, remembered, strict=True):
                if image_of is None or owner != image_of[n]:
                    out[n, p] = min(out[n, p], np.linalg.norm(patch - one))
    return out


def test_patches_are_means_of_neighbours():
    rows = table(3).rows(np.arange(3))
    for scale in range(2):
        expected = plain_patches(rows, scale)
        found = patches_of(LAYOUT.split(rows)[scale])
        torch.testing.assert_close(found.double(), torch.from_numpy(expected), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("others", ["fresh images", "the normals themselves"])
def test_evidence_is_standardised_distance_to_patches_of_other_images(others):
    normals = table(9)
    training = build_memory(normals, CONFIG, seed=3)
    image_of = np.arange(9) if others == "the normals themselves" else None
    tested = normals if image_of is not None else table(6, seed=1, shift=0.3)
    joined = training.joined(tested, image_of)
    everything = np.arange(len(tested))
    maps = joined.layout.split(joined.rows(everything))
    for scale in range(2):
        remembered = training.memory.patches[scale].double().numpy()
        owners = training.owners[scale]
        usual = plain_distances(
            plain_patches(normals.rows(np.arange(9)), scale), remembered, owners, np.arange(9)
        )
        ours = plain_distances(
            plain_patches(tested.rows(everything), scale), remembered, owners, image_of
        )
        expected = 7.0 * ((ours - usual.mean()) / usual.std()).clip(LOWEST, 4.0)
        np.testing.assert_allclose(
            maps[scale][:, -1].flatten(1).numpy(), expected, atol=2e-3, rtol=1e-3
        )
        torch.testing.assert_close(
            maps[scale][:, :-1], LAYOUT.split(tested.rows(everything))[scale]
        )


def test_a_normal_does_not_remember_itself():
    """With its own patches it would lie at distance nought, and look more normal than any other."""
    normals = table(9)
    training = build_memory(normals, MemoryConfig(patches=500, candidates=500), seed=0)
    own = training.joined(normals, np.arange(9)).rows(np.arange(9))
    naive = training.joined(normals, None).rows(np.arange(9))
    layout = LAYOUT.with_channels(1)
    for mine, naively in zip(layout.split(own), layout.split(naive), strict=True):
        assert (mine[:, -1] > naively[:, -1]).all()


def test_evidence_is_cut_off_on_both_sides():
    """A patch that is all but remembered says no more than a near one: -3 spreads, whatever.

    Distances that are usual are 10, give or take 1: 0 would be -10 spreads, 1000 would be 990.
    """
    memory = Memory(
        patches=tuple(torch.zeros(1, 5) for _ in LAYOUT.scales),
        means=(10.0, 10.0),
        spreads=(1.0, 1.0),
        weight=2.0,
        highest=4.0,
    )
    for height, expected in ((0.0, -3.0), (1000.0, 4.0)):
        maps = tuple(torch.full((1, *shape), height) for shape in LAYOUT.scales)
        for scale in memory.evidence(maps):
            assert torch.equal(scale, torch.full_like(scale, 2.0 * expected))


def test_anomalies_lie_farther_away_than_new_normals():
    training = build_memory(table(40), CONFIG, seed=0)
    layout = LAYOUT.with_channels(1)

    def mean_evidence(tested):
        rows = training.joined(tested, None).rows(np.arange(len(tested)))
        return float(torch.stack([m[:, -1].mean() for m in layout.split(rows)]).mean())

    assert mean_evidence(table(20, seed=5, shift=2.0)) > mean_evidence(table(20, seed=6)) + 5.0


def test_the_same_seed_remembers_the_same():
    one, two = (build_memory(table(9), CONFIG, seed=1).memory for _ in range(2))
    other = build_memory(table(9), CONFIG, seed=2).memory
    assert all(torch.equal(a, b) for a, b in zip(one.patches, two.patches, strict=True))
    assert (one.means, one.spreads) == (two.means, two.spreads)
    assert not all(torch.equal(a, b) for a, b in zip(one.patches, other.patches, strict=True))


def test_it_survives_a_file():
    memory = build_memory(table(9), CONFIG, seed=1).memory
    again = Memory.read(base_of(memory, MemoryConstants), memory.tensors(), width=LAYOUT.channels)
    assert all(torch.equal(a, b) for a, b in zip(memory.patches, again.patches, strict=True))
    maps = LAYOUT.split(table(2, seed=8).rows(np.arange(2)))
    for one, two in zip(memory.evidence(maps), again.evidence(maps), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("count", [2, 3])
def test_two_equal_images_still_have_a_memory(count):
    row = np.ones((1, LAYOUT.row_size), np.float16)
    same = FeatureTable.of_rows(LAYOUT, np.repeat(row, count, axis=0))
    joined = build_memory(same, CONFIG, seed=0).joined(same, np.arange(count))
    assert joined.rows(np.arange(count)).isfinite().all()


def test_a_coreset_spreads_out():
    """Of two far groups, the smaller is there too; chance alone would often miss it."""
    crowd = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
    patches = torch.cat([crowd, crowd[:2] + 100.0])
    chosen = greedy_coreset(patches, 4, np.random.default_rng(0))
    assert len(set(chosen.tolist())) == 4
    assert (chosen >= 200).any()
    assert len(greedy_coreset(patches, 1000, np.random.default_rng(0))) == 202


def test_patches_are_drawn_from_all_images():
    """Not from the first ones, which a file system may list by date or lot."""
    _, image = draw_patches(table(70), 0, 100, np.random.default_rng(0))
    assert len(set(image.tolist())) > 40
    assert image.max() > 60


def test_drawn_patches_know_their_image():
    images = table(70)
    patches, image = draw_patches(images, 0, 100, np.random.default_rng(0))
    assert patches.shape == (100, 5)
    everything = patches_of(LAYOUT.split(images.rows(np.arange(70)))[0])
    for patch, owner in zip(patches, image, strict=True):
        assert (everything[owner] == patch).all(dim=1).any()


def test_appended_channels_come_last_at_every_position():
    rows = table(2).rows(np.arange(2))
    further = [torch.full((2, 1, h, w), 9.0) for _, h, w in LAYOUT.scales]
    maps = LAYOUT.with_channels(1).split(append_channels(rows, LAYOUT, further))
    for before, after in zip(LAYOUT.split(rows), maps, strict=True):
        assert torch.equal(after[:, :-1], before)
        assert (after[:, -1] == 9.0).all()
