"""Evidence on scales of its own becomes one score."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ahl._common.schema import read_values
from ahl.config import CalibrationConfig, HeadConfig
from ahl.evidence.calibration import MEMORY, Calibration, CalibrationConstants, gather
from ahl.evidence.fit import Unseen, calibrate, in_deviations, recalibrate
from ahl.features.maps import FeatureLayout
from ahl.heads import DRA
from ahl.heads.losses import Prior


def normal_values(count, seed, mean=0.0, spread=1.0):
    generator = torch.Generator().manual_seed(seed)
    return mean + spread * torch.randn(count, generator=generator)


def evidence(count, seed, **scales):
    return {
        name: normal_values(count, seed * 100 + i, *scale)
        for i, (name, scale) in enumerate(scales.items())
    }


def unseen_evidence(values, seed=50):
    generator = torch.Generator().manual_seed(seed)
    return Unseen(
        evidence=values,
        descriptors=torch.randn(len(next(iter(values.values()))), 6, generator=generator),
    )


def calibrated(trained, unseen, anomalies, prior_count=3.0, neighbours=0):
    config = CalibrationConfig(prior_count=prior_count, neighbours=neighbours, neighbour_share=0.0)
    return calibrate(trained, unseen_evidence(unseen), unseen_evidence(anomalies, 51), config, ())


def summed(found, given, descriptors):
    return torch.stack(list(found.weigh(given, found.neighbours(descriptors)).values())).sum(dim=0)


def combined(found, given):
    return summed(found, given, unseen_evidence(given, 52).descriptors)


def reread(found, names, **change):
    """A calibration as it comes back from a file, with other values in it."""
    constants = read_values({**asdict(found.constants()), **change}, CalibrationConstants)
    return Calibration.read(constants, found.tensors(), names, 6)


def calibration(anomalies=None, prior_count=3.0, neighbours=0):
    """Two kinds of evidence; the second spreads ten times wider, and twice as wide again unseen."""
    return calibrated(
        evidence(200, 1, a=(1.0, 1.0), b=(5.0, 10.0)),
        evidence(200, 2, a=(0.0, 1.0), b=(0.5, 2.0)),
        {"a": torch.empty(0), "b": torch.empty(0)} if anomalies is None else anomalies,
        prior_count,
        neighbours,
    )


def test_the_score_is_the_weighted_mean_of_standardised_evidence():
    trained, unseen = evidence(50, 3, a=(1, 2), b=(0, 5)), evidence(40, 4, a=(0.2, 1), b=(0, 3))
    anomalies = evidence(7, 5, a=(4, 1), b=(2, 1))
    found = calibrated(trained, unseen, anomalies, 2.0)
    given = evidence(9, 6, a=(1, 3), b=(2, 4))
    lifts, expected = [], np.zeros(9)
    for name in "ab":
        shift, stretch = unseen[name].double().mean(), unseen[name].double().std(correction=0)
        ordered = sorted(anomalies[name].tolist())
        lifts.append(max(0.0, float((ordered[3] - shift) / stretch)))
    weights = np.array([(7 * lift + 2 * np.mean(lifts)) / 9 for lift in lifts])
    weights /= weights.sum()
    for name, weight in zip("ab", weights, strict=True):
        values, own = given[name].numpy().astype(float), trained[name].numpy().astype(float)
        others = unseen[name].numpy().astype(float)
        z = ((values - own.mean()) / own.std() - others.mean()) / others.std()
        expected += weight * z
    np.testing.assert_allclose(combined(found, given).numpy(), expected, rtol=1e-5, atol=1e-5)


def test_without_unseen_anomalies_all_evidence_weighs_the_same():
    assert calibration().weights == (0.5, 0.5)


def test_evidence_that_does_not_lift_anomalies_weighs_little():
    useless = calibration({"a": torch.full((30,), 8.0), "b": torch.full((30,), 0.5)})
    assert useless.weights[0] > 0.9
    harmful = calibration({"a": torch.full((30,), 8.0), "b": torch.full((30,), -9.0)})
    assert 0 <= harmful.weights[1] < 0.1, "never negative: an unseen class may look otherwise"


def test_few_anomalies_move_the_weights_little():
    def weight(count):
        lifted = {"a": torch.full((count,), 8.0), "b": torch.full((count,), 0.5)}
        return calibration(lifted).weights[0]

    assert 0.5 < weight(1) < weight(5) < weight(50)


def test_anomalies_lifted_by_nothing_leave_equal_weights():
    assert calibration({"a": torch.tensor([-5.0]), "b": torch.tensor([-5.0])}).weights == (0.5, 0.5)


@given(st.floats(0.01, 1000), st.floats(-100, 100))
def test_the_scale_of_evidence_does_not_matter(factor, offset):
    """What a head's unit is says nothing of what it is worth."""

    def scaled(values):
        return {"a": values["a"], "b": values["b"] * factor + offset}

    trained, unseen = (evidence(60, seed, a=(0, 1), b=(0, 1)) for seed in (1, 2))
    anomalies, tested = (evidence(10, seed, a=(3, 1), b=(2, 1)) for seed in (3, 4))
    one = calibrated(trained, in_deviations(unseen, trained), in_deviations(anomalies, trained))
    other = calibrated(
        scaled(trained),
        in_deviations(scaled(unseen), scaled(trained)),
        in_deviations(scaled(anomalies), scaled(trained)),
    )
    one, other = combined(one, tested), combined(other, scaled(tested))
    # float32 evidence far from zero in units of its spread has few digits left.
    coarse = 1e-5 * (1 + abs(offset) / factor)
    torch.testing.assert_close(one, other, rtol=1e-3, atol=10 * coarse)


def test_constant_evidence_stays_finite():
    nothing = {"a": torch.zeros(5)}
    for neighbours in (0, 3):
        usual = in_deviations(nothing, nothing)
        found = calibrated(nothing, usual, {"a": torch.zeros(2)}, neighbours=neighbours)
        assert combined(found, {"a": torch.tensor([0.0, 1.0])}).isfinite().all()


def test_evidence_that_is_the_same_for_all_normals_weighs_nothing():
    """However little it moves for a new image, nobody knows how much that is."""
    trained, unseen = evidence(60, 1, a=(0, 1), b=(0, 1)), evidence(60, 2, a=(0, 1), b=(0, 1))
    for values in (trained, unseen):
        values["b"] = torch.full((60,), 3.0)
    for lifted in ([4.0], []):
        anomalies = {"a": torch.tensor(lifted), "b": torch.tensor(lifted)}
        usual = in_deviations(unseen, trained)
        found = calibrated(trained, usual, anomalies, neighbours=5)
        assert found.weights == (1.0, 0.0)
        moved = {"a": torch.tensor([0.5]), "b": torch.tensor([3.0001])}
        assert abs(float(combined(found, moved))) < 3


def test_restandardising_keeps_all_but_the_training_normals():
    before = calibration({"a": torch.full((9,), 6.0), "b": torch.full((9,), 2.0)}, neighbours=5)
    after = before.restandardised(evidence(80, 9, a=(30.0, 2.0), b=(0.0, 1.0)))
    assert (after.shifts, after.stretches, after.weights) == (
        before.shifts,
        before.stretches,
        before.weights,
    )
    assert after.knn is None, "it is of other normals"
    assert len(before.normal_scores)
    assert not len(after.normal_scores)
    assert after.means[0] == pytest.approx(30.0, abs=1.0)
    assert after.deviations[0] == pytest.approx(2.0, rel=0.2)


def test_values_come_back():
    found = calibration({"a": torch.full((9,), 6.0), "b": torch.full((9,), 2.0)})
    back = reread(found, ("a", "b"))
    assert asdict(back.constants()) == asdict(found.constants())
    assert all(torch.equal(back.tensors()[k], found.tensors()[k]) for k in found.tensors())


def test_where_looks_tell_nothing_neighbours_change_nothing():
    anomalies = {"a": torch.full((9,), 6.0), "b": torch.full((9,), 2.0)}
    given = evidence(9, 6, a=(1, 3), b=(2, 4))
    plain, found = calibration(anomalies), calibration(anomalies, neighbours=10)
    assert float(found.knn.shares.max()) < 0.5
    torch.testing.assert_close(combined(found, given), combined(plain, given), atol=0.2, rtol=0.1)


def test_evidence_that_goes_with_the_looks_is_judged_by_them_and_comes_back():
    normals = evidence(200, 2, a=(0.0, 1.0))
    looks = normals["a"][:, None].expand(-1, 6)  # of the same kind, the same evidence
    nothing = unseen_evidence({"a": torch.empty(0)})
    config = CalibrationConfig(neighbours=10, neighbour_share=0.0)
    found = calibrate(normals, Unseen(evidence=normals, descriptors=looks), nothing, config, ())
    assert found.knn.neighbours == 10
    given = {"a": torch.tensor([1.0, 1.0])}
    usual, strange = summed(found, given, torch.tensor([[1.0] * 6, [-1.0] * 6]))
    assert abs(float(usual)) < 1 < 4 < float(strange)
    back = reread(found, ("a",))
    assert torch.equal(summed(back, given, looks[:2]), summed(found, given, looks[:2]))


def test_out_of_fold_images_are_scored_as_new_ones_would_be():
    """A normal against the others, an anomaly against all: both as `weigh` has it."""
    anomalies = {"a": torch.tensor([5.0, 6.0, 7.0]), "b": torch.tensor([2.0, 9.0, 4.0])}
    trained, unseen = evidence(60, 1, a=(0, 1), b=(0, 1)), evidence(60, 2, a=(0, 1), b=(0, 1))
    for neighbours in (0, 8):
        found = calibrated(trained, unseen, anomalies, neighbours=neighbours)
        same = replace(found, means=(0.0, 0.0), deviations=(1.0, 1.0))
        again = summed(same, anomalies, unseen_evidence(anomalies, 51).descriptors)
        assert found.anomaly_scores == pytest.approx(again.tolist(), abs=1e-4)
        assert len(found.normal_scores) == 60
        assert np.mean(found.normal_scores) == pytest.approx(0.0, abs=0.15)
    assert len(calibration().anomaly_scores) == 0


def test_a_share_of_many_normals_is_asked():
    config = CalibrationConfig(neighbours=20, neighbour_share=0.2)
    normals = evidence(200, 1, a=(0.0, 1.0))
    nothing = {"a": torch.empty(0)}
    found = calibrate(normals, unseen_evidence(normals), unseen_evidence(nothing), config, ())
    assert found.knn.neighbours == 40


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"names": ["a"]}, ("a", "b")),
        ({}, ("a", "c")),
        ({"means": [0.0]}, ("a", "b")),
        ({"means": [0.0, float("nan")]}, ("a", "b")),
        ({"deviations": [1.0, 0.0]}, ("a", "b")),
        ({"deviations": [1.0, 1e-300]}, ("a", "b")),
        ({"means": [0.0, 1e300]}, ("a", "b")),
        ({"stretches": [1.0, -1.0]}, ("a", "b")),
        ({"weights": [2.0, -1.0]}, ("a", "b")),
        ({"weights": ["x", 1.0]}, ("a", "b")),
        ({"shifts": [1.0, float("inf")]}, ("a", "b")),
        ({"probability": {"midpoint": float("nan"), "slope": 1.0}}, ("a", "b")),
        ({"probability": {"midpoint": 1.0, "slope": 0.0}}, ("a", "b")),
        ({"knn": {"neighbours": 5, "prior_count": 5.0}}, ("a", "b")),
    ],
)
def test_values_that_do_not_fit_are_refused(change, names):
    with pytest.raises((ValueError, TypeError, KeyError)):
        reread(calibration(), names, **change)


@pytest.mark.parametrize("name", ["normals", "anomalies", "missed"])
@pytest.mark.parametrize("form", [torch.zeros(3), torch.zeros(3, 3), torch.zeros(3, 2).half()])
def test_out_of_fold_evidence_of_another_form_is_refused(name, form):
    found = replace(calibration(), **{name: form})
    with pytest.raises(ValueError, match="wrong shape or type"):
        reread(found, ("a", "b"))


@pytest.mark.parametrize("neighbours", [0, 5])
def test_images_known_later_join_neighbours_and_weights_only(neighbours):
    anomalies = {"a": torch.full((3,), 6.0), "b": torch.full((3,), 2.0)}
    before = calibration(anomalies, neighbours=neighbours)
    missed = {"a": torch.tensor([1.0] * 5), "b": torch.tensor([205.0] * 5)}
    good = {"a": torch.tensor([6.0]), "b": torch.tensor([5.0])}
    after = recalibrate(
        before, unseen_evidence(good), unseen_evidence(missed, 7), CalibrationConfig(), ()
    )
    assert len(after.missed) == 5
    assert len(after.anomaly_scores) == 3, "they were chosen, and stand for no others"
    assert len(after.normal_scores) == 200
    again = recalibrate(
        after, unseen_evidence(good), unseen_evidence(missed, 8), CalibrationConfig(), ()
    )
    assert len(again.missed) == 10
    assert after.weights[1] > before.weights[1], "what they stand out by weighs more"
    if neighbours:
        assert len(after.knn.places) == len(before.knn.places) + 1
        alike = unseen_evidence(good).descriptors
        assert float(summed(after, good, alike)) < float(summed(before, good, alike))


def test_of_another_product_nothing_is_known_to_add_to():
    moved = calibration().restandardised(evidence(80, 9, a=(30.0, 2.0), b=(0.0, 1.0)))
    few = unseen_evidence({"a": torch.tensor([1.0]), "b": torch.tensor([1.0])})
    assert recalibrate(moved, few, few, CalibrationConfig(), ()) is moved


def test_gathered_evidence_is_of_heads_turned_upwards_and_of_the_memorys_highest_positions():
    layout = FeatureLayout(((3, 4, 5), (3, 2, 2)))
    detector = DRA(HeadConfig(top_fraction=0.1), layout, Prior(0.0, 1.0))
    heads = {name: torch.tensor([1.0, 2.0]) for name in detector.head_names}
    maps = tuple(torch.randn(2, *shape) for shape in layout.scales)
    found = gather(detector, heads, maps, 15.0)
    assert tuple(found) == (*detector.head_names, MEMORY)
    torch.testing.assert_close(found["holistic"], -heads["holistic"])
    torch.testing.assert_close(found["seen"], heads["seen"])
    for image in range(2):
        first = sorted(maps[0][image, 2].flatten().tolist())[-2:]
        second = max(maps[1][image, 2].flatten().tolist())
        expected = (sum(first) / 2 + second) / 2 / 15.0
        assert float(found[MEMORY][image]) == pytest.approx(expected, rel=1e-5)
    assert MEMORY not in gather(detector, heads, maps, 0.0)
