"""The learning task: data, distributions and folds, prepared from feature tables."""

from __future__ import annotations

from collections.abc import Sequence
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
from ahl.distributions.pseudo import normals_of, plan_pseudo_anomalies
from ahl.distributions.training_set import Distributions, TrainingSet, index_episodes
from ahl.evidence.prepared import Preparation, fit_preparation
from ahl.features.maps import FeatureMaps, pool_rows
from ahl.features.table import FeatureTable
from ahl.heads import BaseDetector
from ahl.heads.losses import draw_prior
from ahl.model.manifest import SHOWN, EpisodeRecord


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """A learning task, with features prepared for the heads.

    Attributes:
        detector: the heads.
        data: the training set D.
        distributions: the T distributions D_i over it.
        folds: folds whose out-of-fold scores calibrate the model; empty for none.
        reference: the fixed mean normal for scoring, (C, H_s, W_s) per scale.
        preparation: preparation of feature rows for the heads.
    """

    detector: BaseDetector
    data: TrainingSet
    distributions: Distributions
    folds: tuple[Fold, ...]
    reference: FeatureMaps
    preparation: Preparation


def draw_episodes(
    normals: FeatureTable, anomalies: int, generators: int, config: DistributionConfig, *, seed: int
) -> list[Episode]:
    """Draw the T episodes over clusters of the normals (HADG, section 3.2).

    Args:
        normals: features of the training normals.
        anomalies: number of labelled anomalies.
        generators: number of pseudo-anomaly generators.
        config: the constants.
        seed: seed of all draws.
    """
    groups = _group(normals, config, seed)
    return make_episodes(groups, anomalies, generators if config.pseudo else 0, config, seed=seed)


def prepare(
    detector_type: type[BaseDetector],
    normals: FeatureTable,
    anomalies: FeatureTable,
    pseudo: FeatureTable | None,
    episodes: Sequence[Episode],
    config: Config,
    *,
    seed: int,
    groups: Indices | None = None,
) -> Task:
    """Prepare the features, and index D, its distributions and its folds.

    Args:
        detector_type: the heads' class.
        normals: features of the training normals.
        anomalies: features of the labelled anomalies.
        pseudo: features of the episodes' pseudo anomalies, in the order of
            `plan_pseudo_anomalies`; None for none.
        episodes: episodes from `draw_episodes`.
        config: all constants.
        seed: seed of all draws.
        groups: (N + M,) part numbers of normals, then anomalies, equal for photographs of one part,
            which folds keep together. None: each image shows a part of its own.
    """
    plan = plan_pseudo_anomalies(episodes)
    prepared = fit_preparation(normals, anomalies, pseudo, normals_of(plan), config, seed=seed)
    features, counts = prepared.everything, (len(normals), len(anomalies))
    return Task(
        detector=detector_type(
            config.position_heads,
            features.layout,
            draw_prior(config.heads.prior_draws, torch_generator(seed, "prior")),
        ),
        data=TrainingSet.of_counts(
            features, normals=counts[0], anomalies=counts[1], pseudo=len(plan)
        ),
        distributions=index_episodes(*counts, episodes, plan),
        folds=draw_folds(*counts, plan, config.calibration.folds, seed=seed, groups=groups),
        reference=reference_of(prepared.normals, config, seed),
        preparation=prepared.preparation,
    )


def reference_of(normals: FeatureTable, config: Config, seed: int) -> FeatureMaps:
    """The fixed mean normal for scoring, (C, H_s, W_s) per scale, of prepared normals."""
    return normals.layout.split(mean_row(normals, config.heads.stored_references, seed))


def describe_episodes(
    episodes: Sequence[Episode], generators: Sequence[str], pictured: NDArray[np.bool_]
) -> tuple[EpisodeRecord, ...]:
    """Make the records of its episodes that a model keeps.

    Args:
        episodes: the episodes of a task.
        generators: names of the pseudo-anomaly generators.
        pictured: (N,) true for normals with a picture; others are listed only if a support set has
            none of these. In the manifest the labelled anomalies follow the N normals.
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


def _group(normals: FeatureTable, config: DistributionConfig, seed: int) -> Indices:
    if config.grouping == "random":
        return group_at_random(len(normals), groups=config.clusters, seed=seed)
    layout = normals.layout
    pooled = np.concatenate([pool_rows(rows, layout).numpy() for _, rows in normals.chunks()])
    return cluster_normals(pooled, clusters=config.clusters, seed=seed)


def mean_row(normals: FeatureTable, count: int, seed: int) -> Tensor:
    """Mean feature row (row_size,) of `count` random normals; 0 for all normals."""
    if 0 < count < len(normals):
        chosen = numpy_generator(seed, "stored reference").choice(
            len(normals), size=count, replace=False
        )
        return normals.rows(np.sort(chosen).astype(np.int64)).double().mean(dim=0).float()
    total = torch.zeros(normals.layout.row_size, dtype=torch.float64)
    for _, rows in normals.chunks():
        total += rows.double().sum(dim=0)
    return (total / len(normals)).float()
