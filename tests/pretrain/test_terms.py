"""The terms against plain reference code."""

import numpy as np
import pytest
import torch

from ahl.pretrain.cells import UNKNOWN
from ahl.pretrain.terms import (
    COSINE_SCALE,
    MARGIN,
    RIDGE,
    SHARPNESS,
    few_shot_loss,
    prototype_loss,
    ranking_loss,
)

GROUPS, PICTURES, CHANNELS, SIDE = 2, 9, 5, 4


@pytest.fixture
def maps():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(GROUPS, PICTURES, CHANNELS, SIDE, SIDE, generator=generator)


@pytest.fixture
def labels():
    found = torch.zeros(GROUPS, PICTURES, SIDE, SIDE, dtype=torch.long)
    for picture in (4, 5, 6, 8):
        found[:, picture, :2, :2] = UNKNOWN
        found[:, picture, 0, 0] = 3
    return found


def softplus(value):
    return np.log1p(np.exp(-abs(value))) + max(value, 0)


def averaged(picture):
    """Mean of a cell and its neighbours inside the map."""
    result = np.zeros_like(picture)
    for y in range(SIDE):
        for x in range(SIDE):
            around = picture[:, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
            result[:, y, x] = around.mean(axis=(1, 2))
    return result


def test_ranking_is_that_of_plain_loops(maps, labels):
    losses = []
    for group in range(GROUPS):
        pictures = [averaged(p.double().numpy()) for p in maps[group]]
        normal = np.concatenate([p.reshape(CHANNELS, -1).T for p in pictures[:4]])
        sound, defective = [], []
        for picture in range(4, 9):
            for y, x in np.ndindex(SIDE, SIDE):
                distance = np.linalg.norm(normal - pictures[picture][:, y, x], axis=1).min()
                label = int(labels[group, picture, y, x])
                if label > 0:
                    defective.append(np.log(distance))
                elif label == 0:
                    sound.append(np.log(distance))
        far = sorted(sound, reverse=True)[: max(1, len(sound) // 10)]
        pairs = [
            softplus(-SHARPNESS * (d - s - MARGIN)) / SHARPNESS for d in defective for s in far
        ]
        losses.append(np.mean(pairs))
    assert float(ranking_loss(maps, labels)) == pytest.approx(np.mean(losses), rel=1e-4)


def test_ranking_does_not_care_for_the_scale(maps, labels):
    once, tenfold = ranking_loss(maps, labels), ranking_loss(10 * maps, labels)
    assert float(once) == pytest.approx(float(tenfold), rel=1e-4)


def test_ranking_falls_when_defects_lie_farther(maps, labels):
    farther = maps + 3.0 * (labels > 0)[:, :, None]
    assert ranking_loss(farther, labels) < ranking_loss(maps, labels)


def test_ranking_without_a_defect_is_nothing_and_can_be_differentiated(maps):
    maps.requires_grad_()
    loss = ranking_loss(maps, torch.zeros(GROUPS, PICTURES, SIDE, SIDE, dtype=torch.long))
    loss.backward()
    assert float(loss.detach()) == 0
    assert (maps.grad == 0).all()


def balanced(kinds):
    weights = np.zeros(len(kinds))
    for chosen in (kinds == 0, kinds > 0):
        if chosen.any():
            weights[chosen] = 0.5 / chosen.sum()
    return weights


def test_few_shot_is_a_weighed_ridge_regression(maps, labels):
    losses = []
    for group in range(GROUPS):
        rows = maps[group].double().numpy().reshape(PICTURES, CHANNELS, -1).transpose(0, 2, 1)
        kinds = labels[group].numpy().reshape(PICTURES, -1)
        rows = rows - rows[:4].mean(axis=(0, 1))
        rows = rows / np.sqrt((rows[:6] ** 2).mean())
        rows = np.concatenate([rows, np.ones((*rows.shape[:2], 1))], axis=-1)
        x, y = rows[[0, 1, 4, 5]].reshape(-1, CHANNELS + 1), kinds[[0, 1, 4, 5]].ravel()
        weight, target = balanced(y), np.where(y > 0, 1.0, -1.0)
        gram = x.T @ (weight[:, None] * x) + RIDGE * np.eye(CHANNELS + 1)
        rule = np.linalg.solve(gram, x.T @ (weight * target))
        query, judged = (
            rows[[2, 3, 6, 7, 8]].reshape(-1, CHANNELS + 1),
            kinds[[2, 3, 6, 7, 8]].ravel(),
        )
        signs = np.where(judged > 0, 1.0, -1.0)
        each = [
            softplus(-SHARPNESS * s * v) / SHARPNESS
            for s, v in zip(signs, query @ rule, strict=True)
        ]
        losses.append((balanced(judged) * each).sum())
    assert float(few_shot_loss(maps, labels)) == pytest.approx(np.mean(losses), rel=1e-4)


def test_few_shot_is_low_when_a_channel_shows_defects(maps, labels):
    shown = maps.clone()
    shown[:, :, 0] = (labels > 0).float()
    assert few_shot_loss(shown, labels) < 0.5 * few_shot_loss(maps, labels)


def test_prototypes_is_cross_entropy_of_cosines_to_the_groups_means():
    embeddings = torch.randn(3, 9, 4, generator=torch.Generator().manual_seed(0))
    units = embeddings.double().numpy()
    units = units / np.linalg.norm(units, axis=-1, keepdims=True)
    means = units[:, :2].mean(axis=1)
    means = means / np.linalg.norm(means, axis=-1, keepdims=True)
    losses = []
    for group in range(3):
        for unit in units[group, 2:]:
            cosines = COSINE_SCALE * means @ unit
            losses.append(np.log(np.exp(cosines).sum()) - cosines[group])
    assert float(prototype_loss(embeddings)) == pytest.approx(np.mean(losses), rel=1e-5)
