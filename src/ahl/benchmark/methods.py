"""Methods of the benchmark, its extension point: features in, scores of the test images out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Literal, final

import numpy as np
import torch
from numpy.typing import NDArray

from ahl._common.errors import ConfigurationError
from ahl._common.randomness import derive_seed
from ahl.benchmark.baselines import (
    FocalClassifier,
    MarginEmbedding,
    OutlierExposure,
    distil_and_score,
    logistic_scores,
    patchcore_scores,
)
from ahl.benchmark.fairness import PLAIN, SHARED, Settings, published
from ahl.benchmark.problem import Problem
from ahl.config import Grouping
from ahl.distributions.pseudo import plan_pseudo_anomalies
from ahl.distributions.training_set import IndexedSet, TrainingSet
from ahl.heads import DRA, BaseDetector, DevNet
from ahl.pipeline.adapt import adapt_on_features, plan_twins
from ahl.pipeline.learn import learn
from ahl.pipeline.task import Task, draw_episodes, prepare

Scores = NDArray[np.float64]
"""(N_test,) image scores, higher = more anomalous."""

Labels = Literal["some classes", "every class", "none"]

MethodKind = Literal["ahl", "part", "rival"]
"""AHL itself, AHL without some of its parts (a row of the paper's table 5), or another method."""


class Method(ABC):
    """A way to score a test.

    Attributes:
        name: what `--method` takes, lower case.
        title: the name in tables, as in the paper where it is there.
        kind: what it is in a comparison; a part is not AHL, and cannot beat it either.
        labels: which anomalies it trains on: M of the setting's draw, M of every class (an upper
            bound that sees all classes), or none (then M does not matter to it).
        settings: its own values of config fields; those of a variant go before them.
        reads_config: whether it learns by `problem.config`; if not, a variant that sets anything
            is refused.
    """

    name: str
    title: str
    kind: MethodKind = "rival"
    labels: Labels = "some classes"
    settings: Settings = published()
    reads_config: ClassVar[bool] = False

    @property
    def fixed(self) -> Settings:
        """The values that make it what it is; a variant that sets them is refused."""
        return ()

    @property
    def heads(self) -> type[BaseDetector] | None:
        """The base detector whose loss fine-tunes a backbone for it; None if it has none."""
        return None

    @property
    def transfers(self) -> bool:
        """True if it can take part in a transfer: it adapts to normals, and is no bound."""
        return type(self).transfer is not Method.transfer and self.labels != "every class"

    @abstractmethod
    def score(self, problem: Problem) -> Scores:
        """Train on the problem and score its test images.

        The same problem gives the same scores; every draw comes from `problem.seed`. Its config
        is the one that the results keep: `settings`, the variant's and `fixed` are in it.
        """

    def transfer(self, source: Problem, target: Problem) -> Scores:
        """Train on one product, adapt to another with its normals alone, score its test.

        Args:
            source: where the labelled anomalies are; its test is not used.
            target: its normals adapt, its test is scored; it has no labelled anomalies.

        Raises:
            ConfigurationError: if the method cannot; runs refuse it before anything is computed.
        """
        raise ConfigurationError(f"The method {self.name} cannot be adapted to other normals.")


@final
@dataclass(frozen=True, kw_only=True)
class DetectorMethod(Method):
    """A base detector within AHL or alone for as many steps, or the mean of several.

    Attributes:
        detector: its class.
        collaborative: True within AHL.
        ensemble: of as many detectors as there are episodes: each on one D_i, the union of its
            support and its query set, drawn by this grouping (such a part cannot be calibrated);
            or each on all of D, from another seed. None for a single detector.
    """

    name: str
    title: str
    kind: MethodKind
    detector: type[BaseDetector]
    collaborative: bool
    labels: Labels = "some classes"
    settings: Settings = ()
    ensemble: Grouping | Literal["seeds"] | None = None
    reads_config: ClassVar[bool] = True

    @property
    def fixed(self) -> Settings:
        """Settings of its place within AHL or alone, and of an ensemble's grouping."""
        fixed: Settings = (("learning.collaborative", self.collaborative),)
        if self.ensemble in (None, "seeds"):
            return fixed
        return (*fixed, ("distributions.grouping", self.ensemble), ("calibration.folds", 0))

    @property
    def heads(self) -> type[BaseDetector]:
        """Its base detector."""
        return self.detector

    @property
    def transfers(self) -> bool:
        """An ensemble does not."""
        return super().transfers and self.ensemble is None

    def score(self, problem: Problem) -> Scores:
        """Train and score; an ensemble's members one after another, each with its own seed."""
        task = self._task(problem)
        if self.ensemble is None:
            model = learn(task, problem.config, seed=problem.seed, device=problem.device)
            return model.score_table(problem.test)
        total = np.zeros(len(problem.test))
        members = self._members(task)
        for number, member in enumerate(members):
            seed = derive_seed(problem.seed, "ensemble", number) % 2**32
            model = learn(member, problem.config, seed=seed, device=problem.device)
            total += model.score_table(problem.test)
        return total / len(members)

    def transfer(self, source: Problem, target: Problem) -> Scores:
        """Train on the source, adapt as `ahl adapt` does."""
        model = learn(self._task(source), source.config, seed=source.seed, device=source.device)
        plan = plan_twins(
            len(target.normals), target.generators, model.config.distributions, seed=model.seed
        )
        adapted = adapt_on_features(
            model, target.normals, target.make_pseudo(plan), plan, device=target.device
        )
        return adapted.score_table(target.test)

    def _members(self, task: Task) -> list[Task]:
        if self.ensemble == "seeds":
            return [task] * len(task.distributions)
        sides = task.distributions.supports, task.distributions.queries
        parts = [_union(support, query) for support, query in zip(*sides, strict=True)]
        return [replace(task, data=_restricted(task.data, part)) for part in parts]

    def _task(self, problem: Problem) -> Task:
        config, seed = problem.config, problem.seed
        normals, anomalies = problem.normals, problem.anomalies
        episodes = draw_episodes(
            normals, len(anomalies), problem.generators, config.distributions, seed=seed
        )
        pseudo = problem.make_pseudo(plan_pseudo_anomalies(episodes))
        return prepare(
            self.detector,
            normals,
            anomalies,
            pseudo,
            episodes,
            config,
            seed=seed,
            groups=problem.groups,
        )


class PatchCore(Method):
    """Nearest neighbours in a coreset of normal patches."""

    name = "patchcore"
    title = "PatchCore"
    labels: Labels = "none"

    def score(self, problem: Problem) -> Scores:
        """Score by the normals alone."""
        return patchcore_scores(problem.normals, problem.test, seed=problem.seed)


class Distillation(Method):
    """A student that copies features of normals."""

    name = "kdad"
    title = "KDAD"
    labels: Labels = "none"

    def score(self, problem: Problem) -> Scores:
        """Score by the normals alone."""
        return distil_and_score(problem.normals, problem.test, seed=problem.seed)


class Logistic(Method):
    """Logistic regression on pooled features."""

    name = "logistic"
    title = "Logistic regression"

    def score(self, problem: Problem) -> Scores:
        """Score by normals and labelled anomalies."""
        return logistic_scores(problem.normals, problem.anomalies, problem.test)


_ahl = partial(DetectorMethod, kind="ahl", collaborative=True)
_rival = partial(DetectorMethod, kind="rival", collaborative=False, settings=published())
_dra = partial(_rival, detector=DRA, settings=published(*SHARED["dra"]))
_part = partial(DetectorMethod, kind="part", collaborative=False, settings=PLAIN)

METHODS: tuple[Method, ...] = (
    _ahl(name="ahl-dra", title="AHL(DRA)", detector=DRA),
    _ahl(name="ahl-devnet", title="AHL(DevNet)", detector=DevNet),
    _dra(name="dra", title="DRA"),
    _rival(name="devnet", title="DevNet", detector=DevNet, settings=published(*SHARED["devnet"])),
    _rival(name="flos", title="FLOS", detector=FocalClassifier),
    _rival(
        name="saoe",
        title="SAOE",
        detector=OutlierExposure,
        settings=published(*SHARED["saoe"]),
    ),
    _rival(name="mlep", title="MLEP", detector=MarginEmbedding),
    PatchCore(),
    Distillation(),
    _dra(name="fs-dra", title="FS-DRA", labels="every class"),
    Logistic(),
)
"""In the order of the tables."""

ABLATION_METHODS: tuple[Method, ...] = (
    _part(name="+alone", title="AHL(DRA) without episodes", detector=DRA, settings=()),
    _part(name="+alone+devnet", title="AHL(DevNet) without episodes", detector=DevNet, settings=()),
    _part(name="+hadg", title="+ HADG", detector=DRA, ensemble="k-means"),
    _part(name="+ramhadg", title="+ RamHADG", detector=DRA, ensemble="random"),
    _part(name="+ramfull", title="+ RamFULL", detector=DRA, ensemble="seeds"),
    _part(name="+ramhadg+devnet", title="+ RamHADG + DevNet", detector=DevNet, ensemble="random"),
    DetectorMethod(
        name="+cdl-",
        title="+ CDL -",
        kind="part",
        detector=DRA,
        collaborative=True,
        settings=(*PLAIN, ("importance.source", "measured")),
    ),
)
"""Parts of AHL: its base detectors with all that it has but the episodes, and the rows of the
paper's table 5 between DRA and the full AHL(DRA)."""


def find_method(name: str, further: tuple[Method, ...] = ()) -> Method:
    """Look a method up, among ours and further ones.

    Raises:
        ConfigurationError: if there is no method of that name.
    """
    known = {method.name: method for method in (*METHODS, *ABLATION_METHODS, *further)}
    if name not in known:
        raise ConfigurationError(f"Unknown method {name!r}; expected one of {', '.join(known)}.")
    return known[name]


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
