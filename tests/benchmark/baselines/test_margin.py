"""MLEP: distance from the reference in an embedding, and a ranking loss, against plain loops."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pooled_loops import draw_maps, draw_parameters, loop_hidden, loss_moved_by, make

from ahl._common.types import Kind
from ahl.benchmark.baselines import MarginEmbedding

DETECTOR = make(MarginEmbedding)


def loop_distances(parameters, maps, references):
    """Mean over scales and width of the squared difference of activations."""
    embedded = loop_hidden(parameters, maps)
    anchor = loop_hidden(parameters, tuple(scale[None] for scale in references))
    scales, count, width = embedded.shape
    out = np.zeros(count)
    for n in range(count):
        for s in range(scales):
            for h in range(width):
                out[n] += (embedded[s, n, h] - anchor[s, 0, h]) ** 2 / (scales * width)
    return out


def loop_loss(distances, kinds):
    """Mean over pairs of a labelled anomaly and a normal of max(0, 1 + normal - anomaly)."""
    pairs = [
        max(0.0, 1.0 + distances[n] - distances[a])
        for a in range(len(kinds))
        for n in range(len(kinds))
        if kinds[a] == Kind.ANOMALY and kinds[n] == Kind.NORMAL
    ]
    return sum(pairs) / len(pairs) if pairs else 0.0


def loss(distances, kinds):
    return float(DETECTOR.loss({"distance": torch.tensor(distances)}, torch.tensor(kinds)))


def distances(parameters, maps, references):
    scores, statistics = DETECTOR.forward(parameters, {}, maps, references, training=False)
    assert statistics == {}
    assert torch.equal(DETECTOR.combine(scores), scores["distance"])
    return scores["distance"]


@pytest.mark.parametrize("seed", range(3))
def test_distances_are_those_of_plain_loops(seed):
    parameters = draw_parameters(DETECTOR, seed)
    maps, references = draw_maps(6, seed=seed + 10), draw_maps(seed=seed + 20)
    np.testing.assert_allclose(
        distances(parameters, maps, references).numpy(),
        loop_distances(parameters, maps, references),
        rtol=1e-5,
        atol=1e-5,
    )


def test_the_reference_itself_lies_at_nought_and_others_farther():
    parameters, maps = draw_parameters(DETECTOR), draw_maps(4, seed=1)
    found = distances(parameters, maps, tuple(scale[2] for scale in maps))
    assert found[2] == pytest.approx(0.0, abs=1e-10)
    assert (found[[0, 1, 3]] > 1e-6).all()


@given(
    st.lists(
        st.tuples(st.floats(0, 5, width=32), st.sampled_from(list(Kind))), min_size=1, max_size=12
    )
)
def test_loss_is_the_mean_over_pairs(samples):
    values, kinds = [value for value, _ in samples], [int(kind) for _, kind in samples]
    assert loss(values, kinds) == pytest.approx(loop_loss(values, kinds), rel=1e-5, abs=1e-5)


def test_by_hand():
    """Normals at 0 and 1, anomalies at 0.5 and 3: pairs 0.5, 1.5, 0 and 0."""
    kinds = [Kind.NORMAL, Kind.NORMAL, Kind.ANOMALY, Kind.ANOMALY, Kind.PSEUDO]
    assert loss([0.0, 1.0, 0.5, 3.0, 99.0], kinds) == pytest.approx(2.0 / 4)


def test_beyond_the_margin_nothing_is_left_to_learn():
    normal, anomaly = DETECTOR.expected_scores
    assert loss([normal, anomaly], [Kind.NORMAL, Kind.ANOMALY]) == 0.0
    assert loss([normal, anomaly - 0.25], [Kind.NORMAL, Kind.ANOMALY]) == pytest.approx(0.25)


def test_pseudo_anomalies_do_not_train_it_and_the_others_do():
    assert loss_moved_by(DETECTOR, Kind.PSEUDO) == 0.0
    assert loss_moved_by(DETECTOR, Kind.ANOMALY) > 1e-3
    assert loss_moved_by(DETECTOR, Kind.NORMAL) > 1e-3
