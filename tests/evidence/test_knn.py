"""K-nearest-neighbour normalisation: evidence against the normals most like an image."""

from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ahl._common.schema import base_of, read_values
from ahl.evidence import knn
from ahl.evidence.knn import KNNConstants, KNNNormalisation, descriptors

DISTINCT = 8.0
"""Distance of two kinds of normals, in spreads of their descriptors."""


def two_kinds(count, seed=0):
    """Descriptors (N, 4) and evidence (N, 2) of two kinds of normals, the second one higher."""
    generator = torch.Generator().manual_seed(seed)
    kinds = torch.arange(count) % 2
    places = torch.randn(count, 4, generator=generator) + DISTINCT * kinds[:, None]
    evidence = 0.2 * torch.randn(count, 2, generator=generator) + (2.0 * kinds - 1)[:, None]
    return places, (evidence - evidence.mean(0)) / evidence.std(0, correction=0), kinds


def remembered(places, evidence, neighbours=5, prior_count=2.0, share=0.0):
    return KNNNormalisation.of(
        places, evidence, neighbours=neighbours, share=share, prior_count=prior_count
    )


def reference(known, place, leave_out=None):
    """Mean and variance of what is usual near a place, from the definition."""
    at = (place.double().numpy() - known.centre.double().numpy()) / known.scale
    distances = np.sqrt(((known.places.double().numpy() - at) ** 2).sum(1))
    if leave_out is not None:
        distances[leave_out] = np.inf
    near = known.evidence.double().numpy()[np.argsort(distances)[: known.neighbours]]
    count, prior = known.neighbours, known.prior_count
    mean = (count * near.mean(0) + prior * 0.0) / (count + prior)
    return mean, (count * near.var(0) + prior * 1.0) / (count + prior)


def test_relative_evidence_is_that_of_the_definition():
    places, evidence, _ = two_kinds(40)
    evidence[:, 1] = torch.randn(40, generator=torch.Generator().manual_seed(9))  # of no place
    known = remembered(places, evidence)
    pairs = [reference(known, places[i], leave_out=i) for i in range(40)]
    means, variances = (np.stack(part) for part in zip(*pairs, strict=True))
    own = evidence.double().numpy()
    shares = np.clip((own * means).sum(0) / (means**2).sum(0), 0, 1)
    assert shares[0] > 0.9 > shares[1]
    np.testing.assert_allclose(known.shares.numpy(), shares, rtol=2e-3, atol=2e-3)

    def relative(values, mean, variance):
        return (values - shares * mean) / np.sqrt(shares * variance + 1 - shares)

    spreads = relative(own, means, variances).std(0)
    np.testing.assert_allclose(known.spreads.numpy(), spreads, rtol=2e-3)
    new_places, new_evidence, _ = two_kinds(6, seed=1)
    expected = [
        relative(new_evidence[i].double().numpy(), *reference(known, new_places[i])) / spreads
        for i in range(6)
    ]
    found = known.relative(new_evidence, known.statistics(new_places))
    np.testing.assert_allclose(found.numpy(), np.stack(expected), rtol=5e-3, atol=5e-3)


def test_a_kind_of_normals_that_scores_high_is_not_anomalous_for_it():
    places, evidence, kinds = two_kinds(60)
    known = remembered(places, evidence, neighbours=20, prior_count=0.1)
    new_places, new_evidence, new_kinds = two_kinds(40, seed=2)
    found = known.relative(new_evidence, known.statistics(new_places))
    apart = found[new_kinds == 1].mean() - found[new_kinds == 0].mean()
    before = new_evidence[new_kinds == 1].mean() - new_evidence[new_kinds == 0].mean()
    assert abs(float(apart)) < 0.2 * float(before)
    # What is high for the lower kind stands out, though the higher kind is usually as high.
    low = new_places[new_kinds == 0][:1]
    usual_for_the_other = evidence[kinds == 1].mean(0, keepdim=True)
    assert float(known.relative(usual_for_the_other, known.statistics(low)).min()) > 2.0


def test_the_normals_themselves_have_spread_one():
    places, evidence, _ = two_kinds(50)
    known = remembered(places, evidence)
    torch.testing.assert_close(known.own().std(0, correction=0), torch.ones(2))


def test_an_images_result_does_not_depend_on_the_others():
    places, evidence, _ = two_kinds(50)
    known = remembered(places, evidence)
    new_places, new_evidence, _ = two_kinds(8, seed=3)
    together = known.relative(new_evidence, known.statistics(new_places))
    alone = [
        known.relative(new_evidence[i : i + 1], known.statistics(new_places[i : i + 1]))
        for i in range(8)
    ]
    torch.testing.assert_close(torch.cat(alone), together, rtol=1e-4, atol=1e-5)


@settings(max_examples=30)
@given(st.integers(2, 30), st.integers(1, 40), st.floats(0.1, 100))
def test_any_few_normals_give_finite_results(count, neighbours, prior_count):
    places, evidence, _ = two_kinds(count)
    known = remembered(places, torch.nan_to_num(evidence), neighbours, prior_count)
    assert known.neighbours <= count - 1
    assert known.relative(torch.zeros(3, 2), known.statistics(torch.zeros(3, 4))).isfinite().all()


def test_normals_that_are_all_alike_give_finite_results():
    known = remembered(torch.ones(12, 4), torch.zeros(12, 2))
    found = known.relative(torch.ones(1, 2), known.statistics(torch.ones(1, 4)))
    assert found.isfinite().all()


def test_of_very_many_normals_some_are_remembered(monkeypatch):
    monkeypatch.setattr(knn, "MOST", 10)
    places, evidence, _ = two_kinds(95)
    known = remembered(places, evidence, neighbours=2, share=0.3)
    assert len(known.places) == 10
    assert known.neighbours == 3, "a share of those remembered, not of all"
    torch.testing.assert_close(known.evidence[[0, -1]], evidence[[0, -1]])


def test_descriptors_are_the_means_of_the_plain_channels():
    maps = tuple(torch.randn(3, 5, side, side) for side in (4, 2))
    found = descriptors(maps, 1)
    expected = [scale[:, :4].mean((2, 3)) for scale in maps]
    torch.testing.assert_close(found, torch.cat(expected, 1))
    assert descriptors(maps, 0).shape == (3, 10)


def test_many_directions_that_hardly_vary_do_not_hide_the_one_that_does():
    """As the last of many principal components; standardised one by one, they would."""
    places, evidence, kinds = two_kinds(60)
    small = 0.01 * torch.randn(60, 200, generator=torch.Generator().manual_seed(3))
    known = remembered(torch.cat([places, small], dim=1), evidence, neighbours=10)
    near = known._others().topk(10, dim=1, largest=False).indices
    assert (kinds[near] == kinds[:, None]).all()
    assert known.shares.min() > 0.9


def test_it_comes_back_from_its_tensors():
    places, evidence, _ = two_kinds(20)
    known = remembered(places, evidence)
    back = KNNNormalisation.read(base_of(known, KNNConstants), known.tensors(), width=4, kinds=2)
    evidence, place = torch.tensor([[0.5, -1.0]]), torch.full((1, 4), 3.0)
    expected = known.relative(evidence, known.statistics(place))
    assert torch.equal(back.relative(evidence, back.statistics(place)), expected)


@pytest.mark.parametrize(
    ("constants", "tensors"),
    [
        ({"neighbours": 0}, {}),
        ({"neighbours": 21}, {}),
        ({"prior_count": 0.0}, {}),
        ({"prior_count": float("nan")}, {}),
        ({}, {"places": torch.zeros(20, 3).half()}),
        ({}, {"places": torch.zeros(20, 4)}),
        ({}, {"evidence": torch.zeros(19, 2)}),
        ({}, {"evidence": torch.full((20, 2), float("nan"))}),
        ({"scale": 0.0}, {}),
        ({"scale": float("inf")}, {}),
        ({}, {"spreads": -torch.ones(2)}),
        ({}, {"shares": torch.full((2,), 1.5)}),
    ],
)
def test_values_that_do_not_fit_are_refused(constants, tensors):
    places, evidence, _ = two_kinds(20)
    known = remembered(places, evidence)
    values = asdict(base_of(known, KNNConstants)) | constants
    with pytest.raises(ValueError, match=r"neighbours|places|evidence|spreads|scale|prior_count"):
        KNNNormalisation.read(
            read_values(values, KNNConstants), known.tensors() | tensors, width=4, kinds=2
        )
