"""The plug for methods of the benchmark: features in, scores of the test images out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import numpy as np
from numpy.typing import NDArray

from ahl._common.errors import ConfigurationError
from ahl.benchmark.problem import Problem
from ahl.distributions.pseudo import plan_pseudo_anomalies
from ahl.heads import BaseDetector
from ahl.model.trained import TrainedModel
from ahl.pipeline.adapt import adapt_on_features, plan_twins
from ahl.pipeline.learn import learn
from ahl.pipeline.task import Task, draw_episodes, prepare

Scores = NDArray[np.float64]
"""(N_test,) image scores, higher = more anomalous."""

Settings = tuple[tuple[str, Any], ...]
"""Dotted names of config fields, such as `memory.patches`, with their values."""

PLAIN: Settings = (("vectors.components", 0), ("memory.patches", 0), ("calibration.folds", 0))
"""For methods that are not AHL: our reduction, memory and calibration are no part of them."""

Labels = Literal["some classes", "every class", "none"]

MethodKind = Literal["ahl", "part", "rival"]
"""AHL itself, AHL without some of its parts (a row of the paper's ablation), or another method."""


class Method(ABC):
    """A way to score a test.

    Attributes:
        name: what `--method` takes, lower case.
        title: the name in tables, as in the paper where it is there.
        kind: what it is in a comparison; a part is not AHL, and cannot beat it either.
        labels: which anomalies it trains on: M of the setting's draw, M of every class (an upper
            bound that sees all classes), or none (then M does not matter to it).
        settings: its own values of config fields, by dotted name; a run's specification of the
            method goes before them.
        reads_config: whether it learns by `problem.config`; if not, a specification that sets
            anything is refused.
    """

    name: str
    title: str
    kind: MethodKind = "rival"
    labels: Labels = "some classes"
    settings: Settings = PLAIN
    reads_config: ClassVar[bool] = False

    @property
    def fixed(self) -> Settings:
        """The values that make it what it is; a specification that sets them is refused."""
        return ()

    @property
    def transfers(self) -> bool:
        """Whether it can take part in a transfer: it adapts to normals, and is no bound."""
        return type(self).transfer is not Method.transfer and self.labels != "every class"

    @abstractmethod
    def score(self, problem: Problem) -> Scores:
        """Train on the problem and score its test images.

        The same problem gives the same scores; every draw comes from `problem.seed`. Its config
        is the one that is recorded: `settings`, specification and `fixed` are in it.
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
    """A base detector, within AHL or trained alone for as many steps."""

    name: str
    title: str
    kind: MethodKind
    detector: type[BaseDetector]
    collaborative: bool
    labels: Labels = "some classes"
    settings: Settings = ()
    reads_config: ClassVar[bool] = True

    @property
    def fixed(self) -> Settings:
        """Whether it is within AHL."""
        return (("learning.collaborative", self.collaborative),)

    def score(self, problem: Problem) -> Scores:
        """Train and score with the unified model."""
        return self._learn(problem).score_table(problem.test)

    def transfer(self, source: Problem, target: Problem) -> Scores:
        """Train on the source, adapt as `ahl adapt` does."""
        model = self._learn(source)
        plan = plan_twins(
            len(target.normals), target.generators, model.config.distributions, seed=model.seed
        )
        adapted = adapt_on_features(
            model, target.normals, target.make_pseudo(plan), plan, device=target.device
        )
        return adapted.score_table(target.test)

    def _learn(self, problem: Problem) -> TrainedModel:
        task = task_of(problem, self.detector)
        return learn(task, problem.config, seed=problem.seed, device=problem.device)


@final
@dataclass(frozen=True, kw_only=True)
class FunctionMethod(Method):
    """A method that is one function of the problem's features."""

    name: str
    title: str
    function: Callable[[Problem], Scores]
    labels: Labels = "some classes"

    def score(self, problem: Problem) -> Scores:
        """Call the function."""
        return self.function(problem)


def task_of(problem: Problem, detector: type[BaseDetector]) -> Task:
    """The learning task of a problem."""
    config, seed = problem.config, problem.seed
    episodes = draw_episodes(
        problem.normals,
        len(problem.anomalies),
        problem.generators,
        config.distributions,
        seed=seed,
    )
    pseudo = problem.make_pseudo(plan_pseudo_anomalies(episodes))
    return prepare(
        detector, problem.normals, problem.anomalies, pseudo, episodes, config, seed=seed
    )
