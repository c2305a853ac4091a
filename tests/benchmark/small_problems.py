"""Features of a small draw, as a run of the benchmark gives them to a method."""

from dataclasses import replace

import numpy as np
import torch

from ahl.benchmark.problem import Problem
from ahl.benchmark.variants import Variant
from ahl.config import CalibrationConfig
from ahl.features.table import FeatureTable
from synthetic_features import (
    LAYOUT,
    SCRATCH,
    STAIN,
    draw_anomalies,
    draw_normals,
    draw_pseudo,
    group_of,
    to_rows,
)
from tiny import tiny_config

NORMALS, TESTED = 18, 10


def make_problem(seed=0, **learning):
    good = draw_normals(group_of(NORMALS), 0)

    def make_pseudo(plan):
        made = [draw_pseudo(good[p.normal][None], p.generator, i) for i, p in enumerate(plan)]
        return FeatureTable.of_rows(LAYOUT, to_rows(np.concatenate(made)))

    anomalies = np.concatenate([draw_anomalies(3, kind, 10 + kind) for kind in (SCRATCH, STAIN)])
    return Problem(
        normals=FeatureTable.of_rows(LAYOUT, to_rows(good)),
        anomalies=FeatureTable.of_rows(LAYOUT, anomalies),
        test=FeatureTable.of_rows(LAYOUT, draw_anomalies(TESTED, SCRATCH, 20)),
        make_pseudo=make_pseudo,
        generators=2,
        config=replace(
            tiny_config(**{"epochs": 2, **learning}), calibration=CalibrationConfig(folds=0)
        ),
        seed=seed,
        device=torch.device("cpu"),
    )


def given(method, problem):
    """The problem as a run of the benchmark gives it to the method."""
    spec = Variant(text=method.name, method=method)
    return replace(problem, config=spec.configure(problem.config))
