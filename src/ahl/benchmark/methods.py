"""The extension point for benchmark methods: features in, scores of the test images out."""

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
"""Image scores (N_test,); higher is more anomalous."""

Labels = Literal["some classes", "every class", "none"]

MethodKind = Literal["ahl", "part", "rival"]
"""AHL itself, AHL without some of its parts (a row of the paper's table 5), or another method."""


class Method(ABC):
    """Base class of methods, which train on a draw and score its test images.

    Attributes:
        name: its name for `--method`, lower case.
        title: its name in tables, the paper's if it has one.
        kind: its role in comparisons; a part neither counts as AHL nor as its rival.
        labels: the anomalies it trains on: M of the setting's draw, M of every class (an upper
            bound that sees all classes), or none (M has no effect).
        settings: its own values of config fields; a variant's settings take precedence.
        reads_config: True if it uses `problem.config`; if not, variants with settings are
            refused.
    """

    name: str
    title: str
    kind: MethodKind = "rival"
    labels: Labels = "some classes"
    settings: Settings = published()
    reads_config: ClassVar[bool] = False

    @property
    def fixed(self) -> Settings:
        """Config values that define the method; a variant that sets one is refused."""
        return ()

    @property
    def heads(self) -> type[BaseDetector] | None:
        """Base detector whose loss fine-tunes a backbone for this method, or None."""
        return None

    @property
    def transfers(self) -> bool:
        """True if it can take part in a transfer: it adapts to normals and is not a bound."""
        return type(self).transfer is not Method.transfer and self.labels != "every class"

    @abstractmethod
    def score(self, problem: Problem) -> Scores:
        """Train on the problem and score its test images.

        The same problem gives the same scores: every draw is seeded by `problem.seed`. The
        problem's config contains `settings`, the variant's and `fixed`; the results keep it.
        """

    def transfer(self, source: Problem, target: Problem) -> Scores:
        """Train on one product, adapt to another by its normals alone, and score its test.

        Args:
            source: the product to train on; its test is not used.
            target: the product to adapt to and to score; it has no labelled anomalies.

        Raises:
            ConfigurationError: if the method cannot adapt; a run checks `transfers` beforehand.
        """
        raise ConfigurationError(f"The method {self.name} cannot be adapted to other normals.")


@final
@dataclass(frozen=True, kw_only=True)
class DetectorMethod(Method):
    """A base detector trained by AHL, or alone for as many steps, or an ensemble of such.

    Attributes:
        detector: class of the base detector.
        episodes: True to train it by AHL's episodes (Algorithm 1).
        ensemble: averages one detector per episode: each trained on one D_i (its support and query
            set united), drawn by this grouping, without calibration; or, for "seeds", each on all
            of D with its own seed. None for a single detector.
    """

    name: str
    title: str
    kind: MethodKind
    detector: type[BaseDetector]
    episodes: bool
    labels: Labels = "some classes"
    settings: Settings = ()
    ensemble: Grouping | Literal["seeds"] | None = None
    reads_config: ClassVar[bool] = True

    @property
    def fixed(self) -> Settings:
        """`learning.episodes`, and the grouping of an ensemble without calibration."""
        fixed: Settings = (("learning.episodes", self.episodes),)
        if self.ensemble in (None, "seeds"):
            return fixed
        return (*fixed, ("distributions.grouping", self.ensemble), ("calibration.folds", 0))

    @property
    def heads(self) -> type[BaseDetector]:
        """Class of the base detector."""
        return self.detector

    @property
    def transfers(self) -> bool:
        """True for a single detector that is not a bound."""
        return super().transfers and self.ensemble is None

    def score(self, problem: Problem) -> Scores:
        """Train and score; the members of an ensemble one by one, each with its own seed."""
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
        """Train on the source, adapt as `ahl adapt` does, and score the target's test."""
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
    """PatchCore: nearest neighbours in a coreset of normal patches."""

    name = "patchcore"
    title = "PatchCore"
    labels: Labels = "none"

    def score(self, problem: Problem) -> Scores:
        """Train on the normals alone and score the test images."""
        return patchcore_scores(problem.normals, problem.test, seed=problem.seed)


class Distillation(Method):
    """KDAD: a student network that reproduces features of normals."""

    name = "kdad"
    title = "KDAD"
    labels: Labels = "none"

    def score(self, problem: Problem) -> Scores:
        """Train on the normals alone and score the test images."""
        return distil_and_score(problem.normals, problem.test, seed=problem.seed)


class Logistic(Method):
    """Logistic regression on pooled features."""

    name = "logistic"
    title = "Logistic regression"

    def score(self, problem: Problem) -> Scores:
        """Train on normals and labelled anomalies and score the test images."""
        return logistic_scores(problem.normals, problem.anomalies, problem.test)


_ahl = partial(DetectorMethod, kind="ahl", episodes=True)
_rival = partial(DetectorMethod, kind="rival", episodes=False, settings=published())
_dra = partial(_rival, detector=DRA, settings=published(*SHARED["dra"]))
_part = partial(DetectorMethod, kind="part", episodes=False, settings=PLAIN)

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
"""AHL and its rivals, in the order of the tables."""

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
        episodes=True,
        settings=(*PLAIN, ("importance.source", "measured")),
    ),
)
"""Parts of AHL: its base detectors with everything but the episodes, and the rows of the paper's
table 5 between DRA and the full AHL(DRA)."""


def find_method(name: str, further: tuple[Method, ...] = ()) -> Method:
    """Look up a method among ours and `further` ones.

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
    """The training set reduced to the samples in `part`."""
    kept = np.concatenate(part.by_kind())
    return TrainingSet(
        features=data.features.chosen(kept),
        kinds=data.kinds[torch.from_numpy(kept)],
    )
