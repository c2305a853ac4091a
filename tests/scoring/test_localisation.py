"""Figures of heat maps against plain references."""

import numpy as np
import pytest
from scipy.ndimage import label
from sklearn.metrics import roc_auc_score

from ahl.scoring.localisation import HIGHEST_RATE, NEAR, PixelCounts


def made(seed, images=6, shape=(30, 40), signal=1.5, places=None):
    """Heat maps with so many decimals, and masks of one or two squares each."""
    random = np.random.default_rng(seed)
    maps = random.normal(0, 1, (images, *shape))
    masks = np.zeros((images, *shape), dtype=np.bool_)
    for number, mask in enumerate(masks):
        for _ in range(1 + number % 2):
            row, column = random.integers(0, 24), random.integers(0, 34)
            mask[row : row + 4, column : column + 5] = True
    maps[masks] += signal
    if places is not None:
        maps = maps.round(places)
    return maps.astype(np.float16).astype(np.float32), masks


def figures(maps, masks, good=()):
    counts = PixelCounts()
    for heat, mask in zip(maps, masks, strict=True):
        counts.add(heat, mask)
    for heat in good:
        counts.add(heat, None)
    return counts.figures()


def plain_aupro(maps, masks, good):
    """At every threshold, the share of each region above it, and of the other pixels."""
    others = np.concatenate([maps[~masks], good.ravel()])
    rates, shares = [0.0], [0.0]
    regions = []
    for heat, mask in zip(maps, masks, strict=True):
        numbered, count = label(mask, structure=np.ones((3, 3)))
        regions += [heat[numbered == n] for n in range(1, count + 1)]
    for threshold in sorted(set(maps.ravel()) | set(good.ravel()), reverse=True):
        rates.append((others >= threshold).mean())
        shares.append(np.mean([(region >= threshold).mean() for region in regions]))
    area = 0.0
    for i in range(1, len(rates)):
        x0, x1 = rates[i - 1], min(rates[i], HIGHEST_RATE)
        if x1 > x0:
            y1 = np.interp(x1, rates[i - 1 : i + 1], shares[i - 1 : i + 1])
            area += (x1 - x0) * (shares[i - 1] + y1) / 2
    return area / HIGHEST_RATE


@pytest.mark.parametrize("places", [None, 0])
@pytest.mark.parametrize("seed", range(3))
def test_the_figures_are_those_of_plain_references(seed, places):
    maps, masks = made(seed, places=places)
    good = made(seed + 10, images=2, signal=0, places=places)[0]
    found = figures(maps, masks, good)
    labels = np.concatenate([masks.ravel(), np.zeros(good.size)])
    heat = np.concatenate([maps.ravel(), good.ravel()])
    assert found.auroc == pytest.approx(roc_auc_score(labels, heat), abs=1e-9)
    assert found.aupro == pytest.approx(plain_aupro(maps, masks, good), abs=1e-9)
    assert (found.masked, found.unmasked) == (6, 0)


def test_order_alone_counts_and_signs_do_no_harm():
    maps, masks = made(5)
    moved = figures((maps * 4 - 900).astype(np.float32), masks)
    assert moved.auroc == pytest.approx(figures(maps, masks).auroc, abs=0.01)
    assert figures(np.where(masks, 1.0, -1e9).astype(np.float32), masks).auroc == 1.0
    zeros = figures(np.where(masks, 0.0, -0.0).astype(np.float32), masks)
    assert (zeros.auroc, zeros.aupro) == (0.5, pytest.approx(HIGHEST_RATE / 2))


def test_a_peak_near_the_mask_is_on_the_defect():
    mask = np.zeros((60, 60), dtype=np.bool_)
    mask[20:24, 20:24] = True
    for far, near in ((NEAR, 1.0), (NEAR + 1, 0.0)):
        heat = np.zeros((60, 60), dtype=np.float32)
        heat[22, 23 + far] = 1.0
        assert figures([heat], [mask]).peak_near == near


def test_without_masks_there_are_none_and_one_kind_of_pixel_has_no_curve():
    counts = PixelCounts()
    counts.add(np.zeros((4, 4), np.float32), None)
    counts.add_unmasked()
    assert counts.figures() is None
    counts.add(np.ones((4, 4), np.float32), np.ones((4, 4), np.bool_))
    assert counts.figures().unmasked == 1
    assert counts.figures().auroc == 1.0
    whole = figures([np.ones((4, 4), np.float32)], [np.ones((4, 4), np.bool_)])
    assert (whole.auroc, whole.aupro) == (None, None)
