"""Feature tables become a learning task: episodes, pseudo anomalies, heads, a reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ahl._common.randomness import numpy_generator, torch_generator
from ahl.config import Config, DistributionConfig
from ahl.distributions.episodes import (
    Episode,
    Indices,
    SampleSet,
    cluster_normals,
    group_at_random,
    make_episodes,
)
from ahl.distributions.folds import Fold, draw_folds
from ahl.distributions.pseudo import PseudoAnomaly, normals_of, plan_pseudo_anomalies
from ahl.distributions.training_set import TrainingSet, index_episodes
from ahl.evidence.prepared import Preparation, fit_preparation
from ahl.features.maps import FeatureMaps, pool_rows
from ahl.features.table import FeatureTable
from ahl.heads import BaseDetector
from ahl.heads.losses import draw_prior
from ahl.model.manifest import SHOWN, EpisodeRecord


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """What `train` needs beside the config and the seed.

    Attributes:
        detector: the heads.
        training_set: D with its episodes, its features as the heads see them.
        reference: the fixed normal of scoring, likewise.
        preparation: what was done to the features.
        folds: that calibrate the heads' scores; empty leaves them as they are.
        plan: the pseudo anomalies behind the labelled ones in the training set.
        episodes: as they were drawn, before the set was laid out.
    """

    detector: BaseDetector
    training_set: TrainingSet
    reference: FeatureMaps
    preparation: Preparation
    folds: tuple[Fold, ...]
    plan: tuple[PseudoAnomaly, ...]
    episodes: tuple[Episode, ...]


def prepare_task(
    detector_type: type[BaseDetector],
    normals: FeatureTable,
    anomalies: FeatureTable,
    make_pseudo: Callable[[Sequence[PseudoAnomaly]], FeatureTable],
    *,
    generators: int,
    config: Config,
    seed: int,
) -> Task:
    """Reduce the features, draw the episodes over clusters of normals, lay out the set (HADG).

    Args:
        detector_type: the base detector's class.
        normals: features of the training normals.
        anomalies: features of the labelled anomalies.
        make_pseudo: gives the features of the pseudo anomalies that the episodes need.
        generators: how many pseudo-anomaly generators `make_pseudo` knows.
        config: all constants.
        seed: of all draws.
    """
    episodes = make_episodes(
        _group(normals, config.distributions, seed),
        len(anomalies),
        generators if config.distributions.pseudo else 0,
        config.distributions,
        seed=seed,
    )
    plan = plan_pseudo_anomalies(episodes)
    pseudo = make_pseudo(plan) if plan else None
    prepared = fit_preparation(normals, anomalies, pseudo, normals_of(plan), config, seed=seed)
    features = prepared.everything
    return Task(
        detector=detector_type(
            config.position_heads,
            features.layout,
            draw_prior(config.heads.prior_draws, torch_generator(seed, "prior")),
        ),
        training_set=index_episodes(features, len(normals), len(anomalies), episodes, plan),
        reference=reference_of(prepared.normals, config, seed),
        preparation=prepared.preparation,
        folds=draw_folds(len(normals), len(anomalies), plan, config.calibration.folds, seed=seed),
        plan=tuple(plan),
        episodes=tuple(episodes),
    )


def describe_episodes(
    episodes: Sequence[Episode], generators: Sequence[str], pictured: NDArray[np.bool_]
) -> tuple[EpisodeRecord, ...]:
    """What a model keeps of its episodes.

    Args:
        episodes: of a task.
        generators: names of the pseudo-anomaly generators.
        pictured: (N,) of which normals there are pictures: they are shown rather than others. In
            the manifest the labelled anomalies stand behind the N normals.
    """

    def maker(samples: SampleSet) -> str | None:
        return generators[samples.generator] if len(samples.twins) else None

    records = []
    for episode in episodes:
        support, query = episode.support, episode.query
        among = support.normals[pictured[support.normals]]
        among = among if len(among) else support.normals
        places = np.linspace(0, len(among) - 1, min(SHOWN, len(among))).astype(np.int64)
        records.append(
            EpisodeRecord(
                name=episode.name,
                support_normals=len(support.normals),
                shown_normals=tuple(among[places].tolist()),
                support_anomalies=tuple((support.anomalies + len(pictured)).tolist()),
                support_pseudo=len(support.twins),
                support_generator=maker(support),
                query_normals=len(query.normals),
                query_anomalies=len(query.anomalies),
                query_pseudo=len(query.twins),
                query_generator=maker(query),
            )
        )
    return tuple(records)


def reference_of(normals: FeatureTable, config: Config, seed: int) -> FeatureMaps:
    """The fixed normal of scoring, (C, H_s, W_s) a scale, of normals as the heads see them."""
    return normals.layout.split(mean_row(normals, config.heads.stored_references, seed))


def _group(normals: FeatureTable, config: DistributionConfig, seed: int) -> Indices:
    if config.grouping == "random":
        return group_at_random(len(normals), groups=config.clusters, seed=seed)
    layout = normals.layout
    pooled = np.concatenate([pool_rows(rows, layout).numpy() for _, rows in normals.chunks()])
    return cluster_normals(pooled, clusters=config.clusters, seed=seed)


def mean_row(normals: FeatureTable, count: int, seed: int) -> Tensor:
    """Mean feature row (row_size,) of `count` random normals; 0 takes them all."""
    if 0 < count < len(normals):
        chosen = numpy_generator(seed, "stored reference").choice(
            len(normals), size=count, replace=False
        )
        return normals.rows(np.sort(chosen).astype(np.int64)).double().mean(dim=0).float()
    total = torch.zeros(normals.layout.row_size, dtype=torch.float64)
    for _, rows in normals.chunks():
        total += rows.double().sum(dim=0)
    return (total / len(normals)).float()
