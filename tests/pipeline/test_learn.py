"""From a task to a model: the calibration is of the same run as the heads."""

import numpy as np
import torch

from ahl.features.table import FeatureTable
from ahl.heads import DevNet
from ahl.pipeline import learn as module
from ahl.pipeline.learn import learn
from synthetic_features import LAYOUT
from tasks import prepare_task
from tiny import tiny_config


def table(count, seed):
    rows = np.random.default_rng(seed).normal(size=(count, LAYOUT.row_size))
    return FeatureTable.of_rows(LAYOUT, rows.astype(np.float16))


def test_folds_are_calibrated_with_the_seed_and_the_heads_of_the_run(monkeypatch):
    given = {}

    def calibrate(detector, unified, data, folds, reference, preparation, config, *, seed, **_):
        given.update(seed=seed, unified=unified, data=data, folds=folds)

    monkeypatch.setattr(module, "calibrate_by_folds", calibrate)
    config = tiny_config(epochs=1)
    task = prepare_task(
        DevNet, table(12, 0), table(3, 1), None, generators=0, config=config, seed=5
    )
    model = learn(task, config, seed=5, device=torch.device("cpu"))
    assert given["seed"] == 5
    assert given["unified"] is model.unified
    assert given["data"] is task.data
    assert given["folds"] is task.folds
    assert len(task.folds) == 3
