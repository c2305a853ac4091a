"""Small feature maps with known structure, for tests of what comes after the backbone.

Normals come in three groups (a different mean for each); an anomaly is a normal with a bump at
one corner of a position grid: one direction in channel space for each kind of defect.
"""

import numpy as np
import torch

from ahl.config import DistributionConfig
from ahl.distributions.episodes import Episode, make_episodes
from ahl.distributions.pseudo import plan_pseudo_anomalies
from ahl.distributions.training_set import Distributions, TrainingSet, index_episodes
from ahl.features.maps import FeatureLayout
from ahl.features.table import FeatureTable
from ahl.heads import BaseDetector
from ahl.heads.losses import Prior

LAYOUT = FeatureLayout(((6, 4, 4), (6, 2, 2)))
PRIOR = Prior(mean=0.02, deviation=0.98)
GROUPS = 3
SCRATCH, STAIN, CRACK = 0, 1, 2
"""Kinds of defects; tests keep the crack for what is never seen in training."""


def group_of(normals: int) -> np.ndarray:
    """Which group each normal belongs to: they take turns, so that no group is a range."""
    return np.arange(normals, dtype=np.int64) % GROUPS


def directions() -> np.ndarray:
    """(C, C) orthogonal unit vectors: the groups of normals use the first, defects the next."""
    square = np.random.default_rng(7).normal(size=(LAYOUT.channels, LAYOUT.channels))
    orthogonal: np.ndarray = np.linalg.qr(square)[0].T
    return orthogonal


def draw_normals(groups: np.ndarray, seed: int) -> np.ndarray:
    """(N, C, 4, 4) maps at the first scale.

    Normals vary much more along the directions of the groups than along those of the defects:
    what a defect looks like has to be learnt.
    """
    of_groups, of_defects = directions()[:GROUPS], directions()[GROUPS:]
    random = np.random.default_rng(seed)
    size = (len(groups), *LAYOUT.scales[0][1:], GROUPS)
    maps = (
        1.5 * of_groups[groups][:, None, None]
        + 1.5 * random.normal(size=size) @ of_groups
        + 0.3 * random.normal(size=size) @ of_defects
    )
    return np.moveaxis(maps, -1, 1)


def add_bumps(maps: np.ndarray, bumps: np.ndarray, seed: int, height: float = 3.0):
    """A copy of (N, C, 4, 4) maps with (N, C) bumps added to a 2x2 block of each."""
    random = np.random.default_rng(seed)
    bumped = maps.copy()
    for image, bump in zip(bumped, bumps, strict=True):
        y, x = 2 * random.integers(0, 2, size=2)
        image[:, y : y + 2, x : x + 2] += height * bump[:, None, None]
    return bumped


def to_rows(maps: np.ndarray) -> np.ndarray:
    """Float16 rows of maps at the first scale; the second scale is their 2x2 mean."""
    fine = torch.from_numpy(maps)
    coarse = torch.nn.functional.avg_pool2d(fine, 2)
    return LAYOUT.join([fine, coarse]).to(torch.float16).numpy()


def draw_anomalies(count: int, kind: int, seed: int) -> np.ndarray:
    """(count, row_size) rows of images with one kind of defect."""
    random = np.random.default_rng(seed)
    normals = draw_normals(random.integers(0, GROUPS, size=count), seed + 1)
    return to_rows(add_bumps(normals, np.tile(directions()[GROUPS + kind], (count, 1)), seed + 2))


def draw_pseudo(normals: np.ndarray, generator: int, seed: int) -> np.ndarray:
    """Pseudo anomalies of normals (N, C, 4, 4): bumps in directions drawn for each image."""
    bumps = np.random.default_rng([seed, generator]).normal(size=(len(normals), normals.shape[1]))
    bumps /= np.linalg.norm(bumps, axis=1, keepdims=True)
    return add_bumps(normals, bumps, seed + generator, height=2.0 + generator)


def make_training_set(
    *,
    normals: int = 24,
    anomalies: int = 6,
    generators: int = 2,
    seed: int = 0,
    config: DistributionConfig | None = None,
) -> tuple[TrainingSet, Distributions, list[Episode]]:
    """A training set with scratches and stains among its anomalies, and what is drawn over it."""
    groups = group_of(normals)
    episodes = make_episodes(
        groups, anomalies, generators, config or DistributionConfig(), seed=seed
    )
    plan = plan_pseudo_anomalies(episodes)
    good = draw_normals(groups, seed)
    rows = [to_rows(good)]
    for j in range(anomalies):
        rows.append(draw_anomalies(1, (SCRATCH, STAIN)[j % 2], 1000 + 10 * j + seed))
    rows += [
        to_rows(draw_pseudo(good[entry.normal][None], entry.generator, 31 * seed + i))
        for i, entry in enumerate(plan)
    ]
    table = FeatureTable.of_rows(LAYOUT, np.concatenate(rows))
    data = TrainingSet.of_counts(table, normals=normals, anomalies=anomalies, pseudo=len(plan))
    return data, index_episodes(normals, anomalies, episodes, plan), episodes


def mean_reference(training_set: TrainingSet):
    """The mean maps of all normals: a fixed reference for scoring."""
    maps = training_set.features.maps(torch.from_numpy(training_set.everything.normals))
    return tuple(scale.mean(dim=0) for scale in maps)


def score_rows(detector: BaseDetector, model, reference, rows: np.ndarray) -> np.ndarray:
    """Image scores of float16 rows by the model in evaluation."""
    maps = FeatureTable.of_rows(LAYOUT, rows).maps(torch.arange(len(rows)))
    heads, _ = detector.forward(model.parameters, model.statistics, maps, reference, training=False)
    return detector.combine(heads).numpy()
