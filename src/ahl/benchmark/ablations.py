"""The paper's ablations (table 5): parts of AHL added to the base detector one after another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, final

import numpy as np
import torch

from ahl._common.randomness import derive_seed
from ahl.benchmark.method_types import (
    PLAIN,
    DetectorMethod,
    Method,
    MethodKind,
    Scores,
    Settings,
    task_of,
)
from ahl.benchmark.problem import Problem
from ahl.config import Grouping
from ahl.distributions.training_set import IndexedSet, TrainingSet
from ahl.heads import DRA, BaseDetector, DevNet
from ahl.pipeline.learn import learn
from ahl.pipeline.task import Task

ALONE: Settings = (("learning.collaborative", False),)
"""A base detector by itself."""


@final
@dataclass(frozen=True, kw_only=True)
class DistributionEnsemble(Method):
    """+HADG, +RamHADG: one base detector trained alone on each D_i; their scores averaged.

    D_i is the union of its support and its query set.
    """

    name: str
    title: str
    detector: type[BaseDetector]
    grouping: Grouping
    kind: MethodKind = "part"
    reads_config: ClassVar[bool] = True

    @property
    def fixed(self) -> Settings:
        """Alone, on distributions of this kind; a part of them cannot be calibrated."""
        return (*ALONE, ("distributions.grouping", self.grouping), ("calibration.folds", 0))

    def score(self, problem: Problem) -> Scores:
        """Train T detectors one after another."""
        task = task_of(problem, self.detector)
        sides = task.distributions.supports, task.distributions.queries
        parts = [_union(support, query) for support, query in zip(*sides, strict=True)]
        return _mean_scores(
            [replace(task, data=_restricted(task.data, part)) for part in parts], problem
        )


@final
@dataclass(frozen=True, kw_only=True)
class SeedEnsemble(Method):
    """+RamFULL: as many base detectors as there are episodes, on all of D, from other seeds."""

    name: str
    title: str
    detector: type[BaseDetector]
    kind: MethodKind = "part"
    reads_config: ClassVar[bool] = True

    @property
    def fixed(self) -> Settings:
        """Alone."""
        return ALONE

    def score(self, problem: Problem) -> Scores:
        """Train T detectors one after another."""
        task = task_of(problem, self.detector)
        return _mean_scores([task] * len(task.distributions), problem)


ABLATION_METHODS: tuple[Method, ...] = (
    DistributionEnsemble(name="+hadg", title="+ HADG", detector=DRA, grouping="k-means"),
    DistributionEnsemble(name="+ramhadg", title="+ RamHADG", detector=DRA, grouping="random"),
    SeedEnsemble(name="+ramfull", title="+ RamFULL", detector=DRA),
    DistributionEnsemble(
        name="+ramhadg+devnet", title="+ RamHADG + DevNet", detector=DevNet, grouping="random"
    ),
    DetectorMethod(
        name="+cdl-",
        title="+ CDL -",
        kind="part",
        detector=DRA,
        collaborative=True,
        settings=(*PLAIN, ("importance.source", "measured")),
    ),
)
"""Rows of table 5 between DRA and the full AHL(DRA)."""

OVERLAPS = tuple(
    f"ahl-dra,distributions.anomaly_overlap={overlap}"
    for overlap in ("disjoint", "support_in_query", "query_in_support", "both")
)

ABLATIONS: dict[str, tuple[str, ...]] = {
    "table5": (
        "dra",
        *(method.name for method in ABLATION_METHODS),
        "ahl-dra,vectors.components=0,memory.patches=0,calibration.folds=0",
    ),
    "overlap": OVERLAPS,
    "clusters": tuple(f"ahl-dra,distributions.clusters={c}" for c in (2, 3, 4, 5)),
    "history": tuple(f"ahl-dra,importance.history={k}" for k in (2, 3, 5, 7, 9)),
    "episodes": tuple(f"ahl-dra,distributions.episodes={t}" for t in (3, 5, 7)),
    "pseudo": ("ahl-dra", "ahl-dra,distributions.pseudo=False"),
    "importance": tuple(f"ahl-dra,importance.source={s}" for s in ("psi", "measured", "equal")),
    "evidence": tuple(
        f"{method},vectors.components=128,memory.patches={patches},calibration.folds={folds}"
        for method in ("ahl-dra", "dra", "ahl-devnet", "devnet")
        for patches in (0, 2000)
        for folds in (0, 3)
    ),
    "default": (
        "ahl-dra",
        *(
            f"ahl-dra,{setting}"
            for setting in (
                "vectors.components=0",
                "calibration.neighbours=0",
                "calibration.folds=0",
                "memory.patches=0",
                "learning.averaged_epochs=1",
                "learning.rounds=1",
                "heads.initial_scale=1.0",
                "heads.pseudo_weight=1.0",
                "heads.holistic_pseudo=True",
            )
        ),
    ),
    "inner": ("ahl-dra", "ahl-dra,learning.inner_rate=1e-9", "ahl-dra,learning.second_order=True"),
}
"""Groups of methods with settings that `--ablation` takes."""


def _union(support: IndexedSet, query: IndexedSet) -> IndexedSet:
    return IndexedSet(
        normals=np.union1d(support.normals, query.normals),
        anomalies=np.union1d(support.anomalies, query.anomalies),
        pseudo=np.union1d(support.pseudo, query.pseudo),
    )


def _restricted(data: TrainingSet, part: IndexedSet) -> TrainingSet:
    """The training set with the samples of one set only."""
    kept = np.concatenate(part.by_kind())
    return TrainingSet(
        features=data.features.chosen(kept),
        kinds=data.kinds[torch.from_numpy(kept)],
    )


def _mean_scores(tasks: list[Task], problem: Problem) -> Scores:
    total = np.zeros(len(problem.test))
    for number, task in enumerate(tasks):
        seed = derive_seed(problem.seed, "ensemble", number) % 2**32
        model = learn(task, problem.config, seed=seed, device=problem.device)
        total += model.score_table(problem.test)
    return total / len(tasks)
