"""The methods that the benchmark knows by name."""

from __future__ import annotations

from ahl.baselines import (
    FocalClassifier,
    MarginEmbedding,
    OutlierExposure,
    distil_and_score,
    logistic_scores,
    patchcore_scores,
)
from ahl.benchmark.ablations import ABLATION_METHODS
from ahl.benchmark.method import DetectorMethod, FunctionMethod, Method
from ahl.detectors import DRA, DevNet
from ahl.errors import ConfigurationError

METHODS: tuple[Method, ...] = (
    DetectorMethod(name="ahl-dra", title="AHL(DRA)", detector=DRA, collaborative=True),
    DetectorMethod(name="ahl-devnet", title="AHL(DevNet)", detector=DevNet, collaborative=True),
    DetectorMethod(name="dra", title="DRA", detector=DRA, collaborative=False),
    DetectorMethod(name="devnet", title="DevNet", detector=DevNet, collaborative=False),
    DetectorMethod(name="flos", title="FLOS", detector=FocalClassifier, collaborative=False),
    DetectorMethod(name="saoe", title="SAOE", detector=OutlierExposure, collaborative=False),
    DetectorMethod(name="mlep", title="MLEP", detector=MarginEmbedding, collaborative=False),
    FunctionMethod(
        name="patchcore",
        title="PatchCore",
        function=lambda p: patchcore_scores(p.normals, p.test, seed=p.seed),
        labels="none",
    ),
    FunctionMethod(
        name="kdad",
        title="KDAD",
        function=lambda p: distil_and_score(p.normals, p.test, seed=p.seed),
        labels="none",
    ),
    DetectorMethod(
        name="fs-dra", title="FS-DRA", detector=DRA, collaborative=False, labels="every class"
    ),
    FunctionMethod(
        name="logistic",
        title="Logistic regression",
        function=lambda p: logistic_scores(p.normals, p.anomalies, p.test),
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
