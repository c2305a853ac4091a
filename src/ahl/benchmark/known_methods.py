"""The methods that the benchmark knows by name."""

from __future__ import annotations

from ahl._common.errors import ConfigurationError
from ahl.benchmark.ablations import ABLATION_METHODS
from ahl.benchmark.baselines import (
    FocalClassifier,
    MarginEmbedding,
    OutlierExposure,
    distil_and_score,
    logistic_scores,
    patchcore_scores,
)
from ahl.benchmark.method_types import (
    PLAIN,
    DetectorMethod,
    FunctionMethod,
    Labels,
    Method,
    Scores,
)
from ahl.benchmark.problem import Problem
from ahl.heads import DRA, BaseDetector, DevNet


# Functions with a name, because processes hand methods to each other by name.
def _patchcore(problem: Problem) -> Scores:
    return patchcore_scores(problem.normals, problem.test, seed=problem.seed)


def _distillation(problem: Problem) -> Scores:
    return distil_and_score(problem.normals, problem.test, seed=problem.seed)


def _logistic(problem: Problem) -> Scores:
    return logistic_scores(problem.normals, problem.anomalies, problem.test)


def _ahl(name: str, title: str, detector: type[BaseDetector]) -> Method:
    return DetectorMethod(name=name, title=title, kind="ahl", detector=detector, collaborative=True)


def _alone(
    name: str, title: str, detector: type[BaseDetector], labels: Labels = "some classes"
) -> Method:
    return DetectorMethod(
        name=name,
        title=title,
        kind="rival",
        detector=detector,
        collaborative=False,
        labels=labels,
        settings=PLAIN,
    )


METHODS: tuple[Method, ...] = (
    _ahl("ahl-dra", "AHL(DRA)", DRA),
    _ahl("ahl-devnet", "AHL(DevNet)", DevNet),
    _alone("dra", "DRA", DRA),
    _alone("devnet", "DevNet", DevNet),
    _alone("flos", "FLOS", FocalClassifier),
    _alone("saoe", "SAOE", OutlierExposure),
    _alone("mlep", "MLEP", MarginEmbedding),
    FunctionMethod(
        name="patchcore",
        title="PatchCore",
        function=_patchcore,
        labels="none",
    ),
    FunctionMethod(
        name="kdad",
        title="KDAD",
        function=_distillation,
        labels="none",
    ),
    _alone("fs-dra", "FS-DRA", DRA, labels="every class"),
    FunctionMethod(
        name="logistic",
        title="Logistic regression",
        function=_logistic,
    ),
)
"""In the order of the tables."""


def find_method(name: str, further: tuple[Method, ...] = ()) -> Method:
    """Look a method up.

    Args:
        name: its name.
        further: methods of the caller's own.

    Raises:
        ConfigurationError: if there is none of that name.
    """
    known = {method.name: method for method in (*METHODS, *ABLATION_METHODS, *further)}
    if name not in known:
        raise ConfigurationError(f"There is no method {name!r}; choose among {', '.join(known)}.")
    return known[name]
