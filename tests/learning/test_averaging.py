"""The final running statistics: of which samples, against which reference, and which mean."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ahl.distributions.training_set import IndexedSet
from ahl.heads import DRA
from ahl.heads.weights import HeadWeights
from ahl.learning import averaging
from ahl.learning.averaging import BN_BATCHES, update_average, update_bn
from learning.small_runs import HEADS, numbers_of
from synthetic_features import LAYOUT, PRIOR, make_training_set, mean_reference


@pytest.fixture
def data():
    return make_training_set()[0]


def some_of(data):
    """A part of the training set: of each kind the first half."""
    parts = (own[: len(own) // 2] for own in data.everything.by_kind())
    return IndexedSet(**dict(zip(("normals", "anomalies", "pseudo"), parts, strict=True)))


def weights():
    detector = DRA(HEADS, LAYOUT, PRIOR)
    parameters = detector.initial_parameters(torch.Generator().manual_seed(0))
    return detector, HeadWeights(parameters, detector.initial_statistics())


def updated(data, samples=None, *, reference=None, seed=0, start=None, **heads):
    _, model = weights()
    return update_bn(
        DRA(replace(HEADS, **heads), LAYOUT, PRIOR),
        start or model,
        data,
        samples or data.everything,
        reference or mean_reference(data),
        batch_size=9,
        seed=seed,
    )


def test_statistics_are_the_mean_of_many_batches_own(data, monkeypatch):
    """By hand, whatever the momentum: each batch's residual responses, then their plain mean."""
    batches, batch_loss = [], averaging.batch_loss

    def kept(detector, parameters, statistics, batch):
        batches.append(batch)
        return batch_loss(detector, parameters, statistics, batch)

    monkeypatch.setattr(averaging, "batch_loss", kept)
    for momentum in (0.1, 0.7):
        batches.clear()
        found = updated(data, norm_momentum=momentum).statistics
        assert len(batches) == BN_BATCHES >= 20
        _, model = weights()
        plain = DRA(replace(HEADS, norm_momentum=1.0), LAYOUT, PRIOR)
        own = [
            plain.forward(*model, batch.maps, batch.references, training=True)[1]
            for batch in batches
        ]
        for name, value in found.items():
            expected = torch.stack([one[name] for one in own]).mean(dim=0)
            torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-5)


def test_statistics_are_taken_against_the_reference_of_scoring(data, monkeypatch):
    """Not against each batch's random normals: the residuals would be other ones than scored."""
    seen, batch_loss = [], averaging.batch_loss

    def kept(detector, parameters, statistics, batch):
        seen.append(batch.references)
        return batch_loss(detector, parameters, statistics, batch)

    monkeypatch.setattr(averaging, "batch_loss", kept)
    reference = mean_reference(data)
    updated(data, reference=reference)
    for given in seen:
        assert all(torch.equal(a, b) for a, b in zip(given, reference, strict=True))


def test_statistics_are_of_the_samples_given_and_of_every_kind(data, monkeypatch):
    """Of the fold's own images alone, and of all of them: normals, anomalies and pseudo ones."""
    drawn, batch_loss = set(), averaging.batch_loss

    def kept(detector, parameters, statistics, batch):
        drawn.update(numbers_of(batch.maps[0], data.features))
        return batch_loss(detector, parameters, statistics, batch)

    monkeypatch.setattr(averaging, "batch_loss", kept)
    samples = some_of(data)
    updated(data, samples)
    assert drawn == set(np.concatenate(samples.by_kind()).tolist())


def test_old_statistics_leave_no_trace_and_weights_stay(data):
    _, model = weights()
    old = {name: value + 7.0 for name, value in model.statistics.items()}
    one, other = updated(data), updated(data, start=HeadWeights(model.parameters, old))
    assert one.parameters is not other.parameters
    for name, value in one.statistics.items():
        assert torch.equal(value, other.statistics[name])
    for name, value in model.parameters.items():
        assert torch.equal(other.parameters[name], value)


def test_the_seed_draws_the_batches(data):
    one, same, other = (updated(data, seed=seed).statistics for seed in (3, 3, 4))
    for name, value in one.items():
        assert torch.equal(value, same[name])
        assert not torch.equal(value, other[name])


def test_an_average_is_the_plain_mean_of_all():
    steps = [{"a": torch.tensor([1.0, 4.0]) * k} for k in (1.0, 2.0, 6.0)]
    average = {}
    for count, latest in enumerate(steps, start=1):
        average = update_average(average, latest, count)
    torch.testing.assert_close(average["a"], torch.tensor([3.0, 12.0]))
