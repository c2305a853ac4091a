"""The training set D, and the heterogeneous distributions as index sets over it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ahl._common.types import Kind
from ahl.distributions.episodes import Episode, Indices, SampleSet
from ahl.distributions.pseudo import PseudoAnomaly
from ahl.features.maps import FeatureMaps
from ahl.features.table import FeatureTable


@dataclass(frozen=True, kw_only=True, eq=False)
class IndexedSet:
    """A subset of the training set: sorted indices by kind."""

    normals: Indices
    anomalies: Indices
    pseudo: Indices

    def by_kind(self) -> tuple[Indices, Indices, Indices]:
        """The indices in the order of `Kind`."""
        return self.normals, self.anomalies, self.pseudo


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingSet:
    """D: all training samples.

    Attributes:
        features: rows of the normals, then the labelled anomalies, then the pseudo anomalies.
        kinds: (N,) values of `Kind`.
    """

    features: FeatureTable
    kinds: Tensor

    def __len__(self) -> int:
        return len(self.features)

    @property
    def everything(self) -> IndexedSet:
        """All of D as one set."""
        kinds = self.kinds.numpy()
        normals, anomalies, pseudo = (np.flatnonzero(kinds == kind) for kind in Kind)
        return IndexedSet(normals=normals, anomalies=anomalies, pseudo=pseudo)

    @classmethod
    def of_counts(
        cls, features: FeatureTable, *, normals: int, anomalies: int, pseudo: int
    ) -> TrainingSet:
        """Make a training set by the numbers of normals, anomalies and pseudo anomalies in it."""
        counts = torch.tensor([normals, anomalies, pseudo])
        return cls(features=features, kinds=torch.tensor(list(Kind)).repeat_interleave(counts))


@dataclass(frozen=True, kw_only=True, eq=False)
class Distributions:
    """The T heterogeneous anomaly distributions D_i as index sets over D (section 3.2).

    Attributes:
        supports: support sets D_i^s.
        queries: query sets D_i^q.
        unseen: (N, T) true if sample j is an anomaly that support i does not hold: a labelled
            one outside it, or a pseudo anomaly of a generator that it does not use.
    """

    supports: tuple[IndexedSet, ...]
    queries: tuple[IndexedSet, ...]
    unseen: Tensor

    def __len__(self) -> int:
        return len(self.supports)

    @property
    def query_shares(self) -> Tensor:
        """Weight of each query set in the sum of Eq. 4, (T,), by its normals; they sum to 1.

        Eq. 4 sums over the samples of all query sets. We draw balanced batches of equal size
        instead; without these weights, the normals of a small cluster would count several times as
        much as those of a large one.
        """
        sizes = torch.tensor([float(len(query.normals)) for query in self.queries])
        return sizes / sizes.sum()

    @property
    def judged(self) -> Tensor:
        """(N, T) true if sample j counts in Eq. 6 for model i: all but its support's normals."""
        judged = torch.ones_like(self.unseen)
        for i, support in enumerate(self.supports):
            judged[torch.from_numpy(support.normals), i] = False
        return judged


class Batch(NamedTuple):
    """Samples for a step of one base model or, with a leading T axis, of all T.

    Attributes:
        maps: (N, C, H_s, W_s) per scale.
        references: (C, H_s, W_s) per scale, the mean of some normals of the same set; both
            scales from the same normals.
        kinds: (N,) values of `ahl._common.types.Kind`.
    """

    maps: FeatureMaps
    references: FeatureMaps
    kinds: Tensor

    def of(self, model: int) -> Batch:
        """The batch of one of T models."""
        return Batch(
            tuple(scale[model] for scale in self.maps),
            tuple(scale[model] for scale in self.references),
            self.kinds[model],
        )


def index_episodes(
    normals: int, anomalies: int, episodes: Sequence[Episode], plan: Sequence[PseudoAnomaly]
) -> Distributions:
    """Express the episodes as index sets over the training set.

    Args:
        normals: number of normals, at its start.
        anomalies: number of labelled anomalies, behind them.
        episodes: episodes from `make_episodes`.
        plan: their `plan_pseudo_anomalies`: the pseudo anomalies behind these.
    """
    first_pseudo = normals + anomalies
    place = {(p.generator, p.normal): first_pseudo + i for i, p in enumerate(plan)}

    def indexed(samples: SampleSet) -> IndexedSet:
        twins = [place[samples.generator, int(normal)] for normal in samples.twins]
        return IndexedSet(
            normals=samples.normals,
            anomalies=samples.anomalies + normals,
            pseudo=np.array(twins, dtype=np.int64),
        )

    made_by = np.array([p.generator for p in plan], dtype=np.int64)
    unseen = torch.zeros(first_pseudo + len(plan), len(episodes), dtype=torch.bool)
    for i, episode in enumerate(episodes):
        outside = np.setdiff1d(np.arange(anomalies), episode.support.anomalies)
        unseen[torch.from_numpy(normals + outside), i] = True
        foreign = np.flatnonzero(made_by != episode.support.generator)
        unseen[torch.from_numpy(first_pseudo + foreign), i] = True
    return Distributions(
        supports=tuple(indexed(episode.support) for episode in episodes),
        queries=tuple(indexed(episode.query) for episode in episodes),
        unseen=unseen,
    )


def balanced_counts(batch_size: int, present: Sequence[bool]) -> tuple[int, int, int]:
    """Divide a batch evenly among the kinds present; the remainder goes to the normals."""
    share = batch_size // sum(present)
    counts = [share if there else 0 for there in present]
    counts[Kind.NORMAL] += batch_size - sum(counts)
    return counts[0], counts[1], counts[2]


def kind_counts(batch_size: int, sets: Sequence[IndexedSet]) -> tuple[int, int, int]:
    """Numbers of samples of each kind in a balanced batch.

    A kind is present if every set has it.
    """
    return balanced_counts(
        batch_size, [all(len(s.by_kind()[kind]) > 0 for s in sets) for kind in Kind]
    )


def draw_batch(
    training_set: TrainingSet,
    sets: Sequence[IndexedSet],
    *,
    batch_size: int,
    reference_normals: int,
    generator: torch.Generator,
    device: torch.device,
) -> Batch:
    """Draw one balanced batch from each of T sets, stacked along a leading T axis.

    Samples are drawn with replacement. The reference of a batch is the mean of normals of the
    same set, drawn independently; both scales use the same normals.
    """
    counts = kind_counts(batch_size, sets)
    chosen = torch.stack(
        [
            torch.cat([_draw(s.by_kind()[kind], counts[kind], generator) for kind in Kind])
            for s in sets
        ]
    )
    references = torch.stack([_draw(s.normals, reference_normals, generator) for s in sets])
    kinds = torch.cat([torch.full((counts[kind],), int(kind)) for kind in Kind])
    return Batch(
        maps=tuple(m.to(device) for m in training_set.features.maps(chosen)),
        references=tuple(m.mean(dim=1).to(device) for m in training_set.features.maps(references)),
        kinds=kinds.expand(len(sets), -1).to(device),
    )


def draw_batches(
    training_set: TrainingSet,
    sets: Sequence[IndexedSet],
    count: int,
    *,
    batch_size: int,
    reference_normals: int,
    generator: torch.Generator,
    device: torch.device,
) -> Iterator[Batch]:
    """Draw `count` batches one after another; the arguments are those of `draw_batch`."""
    for _ in range(count):
        yield draw_batch(
            training_set,
            sets,
            batch_size=batch_size,
            reference_normals=reference_normals,
            generator=generator,
            device=device,
        )


def _draw(indices: Indices, count: int, generator: torch.Generator) -> Tensor:
    if count == 0:
        return torch.empty(0, dtype=torch.int64)
    return torch.from_numpy(indices)[torch.randint(len(indices), (count,), generator=generator)]
