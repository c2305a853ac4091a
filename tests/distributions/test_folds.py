"""Folds leave out what they are asked about."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ahl.distributions.folds import FEWEST_NORMALS, draw_folds
from ahl.distributions.pseudo import PseudoAnomaly

FOLDS_OF_SEED_5 = ([[0, 5, 6, 9], [1, 2, 3, 10], [4, 7, 8, 11]], [[14], [13], [12]])
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


@st.composite
def grouped(draw):
    """Normals, anomalies and their groups, some of which have both."""
    normals, anomalies = draw(st.integers(12, 40)), draw(st.integers(1, 12))
    number = st.integers(0, draw(st.integers(1, 30)))
    groups = draw(st.lists(number, min_size=normals + anomalies, max_size=normals + anomalies))
    return normals, anomalies, np.array(groups)


@given(grouped(), st.integers(2, 8), st.integers(0, 99))
def test_photographs_of_one_part_are_never_in_two_folds(drawn, wanted, seed):
    normals, anomalies, groups = drawn
    plan = plan_of(normals)
    asked = []
    for fold in draw_folds(normals, anomalies, plan, wanted, seed=seed, groups=groups):
        trained = {groups[i] for i in (*fold.samples.normals, *fold.samples.anomalies)}
        trained |= {groups[plan[i - normals - anomalies].normal] for i in fold.samples.pseudo}
        assert not trained & {groups[i] for i in (*fold.normals, *fold.anomalies)}
        assert len(fold.samples.normals) > 1 < len(set(groups[:normals]))
        assert len(fold.normals) > 0 < len(fold.samples.anomalies)
        for kind in (fold.normals, fold.anomalies):
            asked += [(kind is fold.normals, groups[i]) for i in kind]
    assert len(asked) == len(set(asked)), "each part is asked about once"


@given(*COUNTS, st.integers(0, 99))
def test_groups_of_one_change_nothing(normals, anomalies, wanted, seed):
    plan = plan_of(normals)
    own = np.random.default_rng(seed).permutation(normals + anomalies) + 7
    plain = draw_folds(normals, anomalies, plan, wanted, seed=seed)
    each = draw_folds(normals, anomalies, plan, wanted, seed=seed, groups=own)
    for one, other in zip(plain, each, strict=True):
        assert one.normals.tolist() == other.normals.tolist()
        assert one.anomalies.tolist() == other.anomalies.tolist()
        for mine, theirs in zip(one.samples.by_kind(), other.samples.by_kind(), strict=True):
            assert mine.tolist() == theirs.tolist()


def test_folds_of_single_images_are_those_of_always():
    """Figures published with earlier folds stay."""
    folds = draw_folds(12, 3, [], 3, seed=5)
    assert [fold.normals.tolist() for fold in folds] == FOLDS_OF_SEED_5[0]
    assert [fold.anomalies.tolist() for fold in folds] == FOLDS_OF_SEED_5[1]


def test_a_few_parts_photographed_often_tell_no_spread():
    groups = np.arange(60) % (FEWEST_NORMALS - 1)
    groups = np.concatenate([groups, [100, 101]])
    assert draw_folds(60, 2, [], 3, seed=1, groups=groups) == ()


def test_all_photographs_of_a_part_stand_for_it_in_turn():
    groups = np.concatenate([np.arange(60) // 3, [100, 101]])
    standing = {
        int(i)
        for seed in range(40)
        for fold in draw_folds(60, 2, [], 3, seed=seed, groups=groups)
        for i in fold.normals
    }
    assert standing == set(range(60))


def test_a_fold_whose_parts_follow_their_anomalies_is_not_there():
    groups = np.concatenate([np.arange(12), [0, 1, 2]])
    counts = set()
    for seed in range(200):
        folds = draw_folds(12, 3, [], 6, seed=seed, groups=groups)
        assert all(len(fold.normals) for fold in folds)
        counts.add(len(folds))
    assert counts == {5, 6}
