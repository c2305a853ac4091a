"""The epoch loop learns: defects of seen and unseen kinds are told from normals."""

from dataclasses import replace

import numpy as np
import pytest

from ahl.config import Config, LearningConfig
from ahl.learning.state import start_state
from ahl.scoring.metrics import auroc
from learning.small_runs import HEADS, run
from synthetic_features import (
    CRACK,
    SCRATCH,
    STAIN,
    draw_anomalies,
    draw_normals,
    group_of,
    make_training_set,
    mean_reference,
    score_rows,
    to_rows,
)

ENOUGH = {
    "dra": LearningConfig(
        epochs=10, rounds=4, inner_steps=3, batch_size=18, inner_rate=2e-3, outer_rate=0.03
    ),
    "devnet": LearningConfig(
        epochs=10, rounds=10, inner_steps=2, batch_size=18, inner_rate=5e-3, outer_rate=0.05
    ),
}  # of Algorithm 1


def auroc_by_kind(detector, model, training_set):
    """AUROC of new images of each kind of defect against new normals."""
    reference = mean_reference(training_set)
    low = score_rows(detector, model, reference, to_rows(draw_normals(group_of(60), 501)))
    found = {}
    for kind in (SCRATCH, STAIN, CRACK):
        high = score_rows(detector, model, reference, draw_anomalies(60, kind, 700 + kind))
        labels = np.repeat([0, 1], [len(low), len(high)])
        found[kind] = auroc(labels, np.concatenate([low, high]))
    return found


@pytest.mark.parametrize("episodes", [True, False], ids=["episodes", "alone"])
def test_seen_and_unseen_defects_are_told_from_normals(detector, episodes):
    learning = replace(ENOUGH[detector.name], episodes=episodes)
    if not episodes:
        learning = replace(learning, inner_rate=0.02)
    config = Config(heads=HEADS, learning=learning)
    training_set, distributions, _ = make_training_set(seed=1)
    untrained = start_state(detector, config, 7, seed=1).unified
    assert np.mean(list(auroc_by_kind(detector, untrained, training_set).values())) < 0.7

    final, _ = run(detector, config, seed=1, made=(training_set, distributions, None))
    found = auroc_by_kind(detector, final.unified, training_set)
    assert min(found[SCRATCH], found[STAIN]) > 0.9
    if episodes:
        assert found[CRACK] > 0.75
    first, last = final.history[0], final.history[-1]
    assert np.mean(last.support_losses) < 0.8 * np.mean(first.support_losses)
