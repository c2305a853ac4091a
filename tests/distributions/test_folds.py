"""Folds leave out what they are asked about."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ahl.distributions.folds import FEWEST_NORMALS, draw_folds
from ahl.distributions.pseudo import PseudoAnomaly

COUNTS = st.integers(FEWEST_NORMALS, 40), st.integers(1, 12), st.integers(2, 8)


def plan_of(normals):
    return [PseudoAnomaly(generator=g, normal=i) for g in range(2) for i in range(0, normals, 2)]


@given(*COUNTS, st.integers(0, 99))
def test_every_normal_and_anomaly_is_left_out_once(normals, anomalies, wanted, seed):
    folds = draw_folds(normals, anomalies, plan_of(normals), wanted, seed=seed)
    assert len(folds) == min(wanted, normals // 2)
    left_out = np.concatenate([fold.normals for fold in folds])
    assert sorted(left_out) == list(range(normals))
    left_out = np.concatenate([fold.anomalies for fold in folds])
    expected = [] if anomalies == 1 else list(range(normals, normals + anomalies))
    assert sorted(left_out) == expected


@given(*COUNTS, st.integers(0, 99))
def test_a_fold_trains_on_nothing_it_is_asked_about(normals, anomalies, wanted, seed):
    plan = plan_of(normals)
    for fold in draw_folds(normals, anomalies, plan, wanted, seed=seed):
        own = fold.samples
        assert not set(own.normals) & set(fold.normals)
        assert not set(own.anomalies) & set(fold.anomalies)
        assert len(own.normals) > 1, "there is a spread to measure by"
        assert len(own.anomalies) > 0, "and something to train on"
        made_of = {plan[i - normals - anomalies].normal for i in own.pseudo}
        assert made_of <= set(own.normals), "nor on pseudo anomalies made of it"


def test_folds_are_drawn_from_the_seed():
    one, same, other = (draw_folds(30, 6, [], 3, seed=seed) for seed in (1, 1, 2))
    assert all((a.normals == b.normals).all() for a, b in zip(one, same, strict=True))
    assert any((a.normals != b.normals).any() for a, b in zip(one, other, strict=True))
    assert draw_folds(30, 6, [], 0, seed=1) == ()


def test_a_handful_of_normals_tells_no_spread():
    assert draw_folds(FEWEST_NORMALS - 1, 6, [], 3, seed=1) == ()
