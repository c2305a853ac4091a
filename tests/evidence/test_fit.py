"""The calibration's fit: what its zero, its spreads and its weights rest on."""

import numpy as np
import pytest
import torch

from ahl.config import CalibrationConfig
from ahl.evidence.calibration import weighted
from ahl.evidence.fit import Unseen, calibrate, evidence_weights, recalibrate
from ahl.evidence.probability import fit_probability
from ahl.heads.base import MEMORY

COUNT = 60


def drawn(count, seed, *means):
    """Evidence a, b ... of spread 1 around the means."""
    values = np.random.default_rng(seed).normal(size=(count, len(means))) + np.array(means)
    return {name: torch.from_numpy(values[:, i]) for i, name in enumerate("abc"[: len(means)])}


def unseen(evidence, descriptors=None, seed=50):
    count = len(next(iter(evidence.values())))
    plain = torch.from_numpy(np.random.default_rng(seed).normal(size=(count, 4))).float()
    return Unseen(evidence=evidence, descriptors=plain if descriptors is None else descriptors)


def config(neighbours=0):
    return CalibrationConfig(neighbours=neighbours, neighbour_share=0.0, neighbour_prior=0.1)


def two_kinds(count, seed):
    """Normals of two kinds, the second of which looks otherwise and scores far higher."""
    random = np.random.default_rng(seed)
    kinds = np.arange(count) % 2
    looks = torch.from_numpy(random.normal(size=(count, 4)) + 9.0 * kinds[:, None]).float()
    return {"a": torch.from_numpy(random.normal(size=count) + 20.0 * kinds)}, looks, kinds


def calibrated(*means):
    """By good images seen with these means, good ones unseen and nine anomalies."""
    return calibrate(
        drawn(COUNT, 1, *means),
        unseen(drawn(COUNT, 2, 0, 0)),
        unseen(drawn(9, 3, 6.0, 1.0), seed=51),
        config(),
        (),
    )


def test_held_out_normals_are_measured_against_those_like_them():
    """The zero of a score, and the thresholds set on it, are of what an image is compared with."""
    evidence, looks, kinds = two_kinds(COUNT, 0)
    found = calibrate(
        evidence, unseen(evidence, looks), unseen({"a": torch.empty(0)}), config(neighbours=15), ()
    )
    assert len(found.normals) == COUNT
    torch.testing.assert_close(found.normals, found.knn.own())
    scores = found.normal_scores
    assert abs(scores[kinds == 1].mean() - scores[kinds == 0].mean()) < 0.5
    assert scores[kinds == 0].std() == pytest.approx(1.0, abs=0.3)


def test_held_out_anomalies_are_measured_against_normals_like_them():
    """One of the lower kind that scores as the higher kind does is found, and weighs."""
    evidence, looks, _ = two_kinds(COUNT, 0)
    anomaly = unseen({"a": torch.tensor([18.0])}, looks[:1])
    found = calibrate(evidence, unseen(evidence, looks), anomaly, config(neighbours=15), ())
    assert found.anomaly_scores[0] > 5
    plain = calibrate(evidence, unseen(evidence, looks), anomaly, config(), ())
    assert plain.anomaly_scores[0] < 2


@pytest.mark.parametrize("flat", ["trained on", "held out"])
def test_evidence_that_does_not_vary_in_either_set_weighs_nothing(flat):
    """Nobody knows how far is far: of those trained on it gives no unit, of others no spread."""
    sets = {"trained on": drawn(COUNT, 1, 0, 0), "held out": drawn(COUNT, 2, 0, 0)}
    sets[flat]["b"] = torch.full((COUNT,), 3.0, dtype=torch.float64)
    anomalies = unseen(drawn(9, 3, 4.0, 9.0), seed=51)
    found = calibrate(sets["trained on"], unseen(sets["held out"]), anomalies, config(), ())
    assert found.weights == (1.0, 0.0)


def test_weights_go_by_the_median_and_never_below_nothing():
    """By hand: five anomalies, one of which is far out by the second kind alone."""
    anomalies = torch.tensor([[3.0, 1, -2], [4, 2, -3], [5, 3, -4], [6, 4, -5], [7, 900, -6]])
    lifts = np.array([5.0, 3.0, 0.0])
    expected = 5 * lifts + 2 * lifts.mean()
    constants = CalibrationConfig(prior_count=2.0)
    found = evidence_weights(anomalies, torch.ones(3).double(), "abc", constants, ())
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-9)


@pytest.mark.parametrize(("count", "learnt"), [(0, 1 / 2), (1, 1 / 2), (4, 4 / 5)])
def test_few_anomalies_are_believed_less_and_the_memory_more(count, learnt):
    """By hand: what is believed of three kinds of evidence, before and beside M anomalies."""
    names, constants = ("seen", "pseudo", MEMORY), CalibrationConfig(memory_belief=2.0)
    believed = np.array([learnt, 1.0, 2.0])
    lifts = np.array([6.0, 3.0, 0.0])
    anomalies = torch.from_numpy(np.tile(lifts, (count, 1)))
    found = evidence_weights(anomalies, torch.ones(3).double(), names, constants, {"seen"})
    expected = believed
    if count:
        expected = count * lifts + 3.0 * lifts.mean() * believed / believed.mean()
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-9)


def test_what_an_update_learns_has_a_say_in_the_weights_alone():
    """Missed anomalies add up over updates, and stay out of what is told of others."""
    trained, held_out = drawn(COUNT, 1, 0, 0), unseen(drawn(COUNT, 2, 0, 0))
    before = calibrate(trained, held_out, unseen(drawn(9, 3, 6.0, 1.0), seed=51), config(), ())
    nothing = unseen({name: torch.empty(0) for name in "ab"})
    after = before
    for seed in (4, 5):
        after = recalibrate(
            after, nothing, unseen(drawn(3, seed, 0, 50.0), seed=seed), config(), ()
        )
    assert len(after.missed) == 6
    everything = torch.cat([before.anomalies, after.missed])
    assert after.weights == evidence_weights(everything, torch.ones(2).double(), "ab", config(), ())
    own, others = (weighted(part, after.weights) for part in (before.normals, before.anomalies))
    assert after.probability == fit_probability(own, others)
    assert torch.equal(after.anomalies, before.anomalies)
    assert after.normals is before.normals


def test_an_update_moves_means_and_spreads_as_the_normals_evidence_moved():
    """Means by the difference, spreads by the ratio: kept normals stand for all of them."""
    found = calibrated(5, 7)
    before, after = (
        drawn(20, 6, 1, 2),
        {"a": torch.tensor([1.0, 5.0]), "b": torch.tensor([3.0, 9.0])},
    )
    moved = found.moved(before, after)
    for i, (name, mean, spread) in enumerate((("a", 3.0, 2.0), ("b", 6.0, 3.0))):
        own = before[name].numpy()
        assert moved.means[i] == pytest.approx(found.means[i] + mean - own.mean())
        assert moved.deviations[i] == pytest.approx(found.deviations[i] * spread / own.std())
    assert (moved.weights, moved.shifts) == (found.weights, found.shifts)


def test_the_probability_knows_normals_and_anomalies_by_their_weighted_scores():
    found = calibrated(0, 0)
    assert found.probability == fit_probability(found.normal_scores, found.anomaly_scores)
    assert found.anomaly_scores.min() > found.normal_scores.mean()
