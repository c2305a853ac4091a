"""What every base detector promises.

To check a detector of your own, add its class to `DETECTOR_CLASSES`.
"""

from itertools import combinations

import pytest
import torch
from torch.func import grad, vmap

from ahl.baselines import FocalClassifier, MarginEmbedding, OutlierExposure
from ahl.config import HeadConfig
from ahl.detectors import DETECTORS, BaseDetector
from ahl.detectors.losses import Prior
from ahl.feature_maps import FeatureLayout
from ahl.types import Kind

DETECTOR_CLASSES: tuple[type[BaseDetector], ...] = (
    *DETECTORS,
    FocalClassifier,
    MarginEmbedding,
    OutlierExposure,
)

LAYOUTS = {
    "two scales": FeatureLayout(((6, 5, 4), (6, 3, 2))),
    "one scale": FeatureLayout(((4, 3, 3),)),
}
CONFIGS = {
    "small": HeadConfig(holistic_hidden=8, residual_bottleneck=3, residual_channels=5),
    "paper": HeadConfig(holistic_hidden=8, residual_bottleneck=0, residual_channels=0),
}
PRIOR = Prior(mean=0.03, deviation=0.97)
MODELS = 3
ALL_KINDS = torch.tensor([Kind.NORMAL, Kind.ANOMALY, Kind.PSEUDO] * 3)


@pytest.fixture(params=DETECTOR_CLASSES, ids=lambda cls: cls.name)
def detector_class(request):
    return request.param


@pytest.fixture(params=CONFIGS)
def config(request):
    return CONFIGS[request.param]


@pytest.fixture(params=LAYOUTS)
def detector(request, detector_class, config):
    return detector_class(config, LAYOUTS[request.param], PRIOR)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def draw_maps(layout, *leading, seed=0):
    generator = seeded(seed)
    return tuple(torch.randn(*leading, *scale, generator=generator) for scale in layout.scales)


def draw_parameters(detector, seed=0):
    """Parameters away from special starting values such as ones and zeros."""
    parameters = detector.initial_parameters(seeded(seed))
    generator = seeded(seed + 100)
    return {
        name: value + 0.1 * torch.randn(value.shape, generator=generator)
        for name, value in parameters.items()
    }


def trained_by(detector, kinds):
    """Whether a batch of these kinds alone has anything to learn from; most detectors: any."""
    if isinstance(detector, MarginEmbedding):  # ranks labelled anomalies against normals
        return {Kind.NORMAL, Kind.ANOMALY} <= set(kinds)
    return not isinstance(detector, FocalClassifier) or set(kinds) != {Kind.PSEUDO}


def draw_statistics(detector, seed=0):
    generator = seeded(seed + 200)
    return {
        name: value + 0.5 * torch.rand(value.shape, generator=generator)
        for name, value in detector.initial_statistics().items()
    }


def stack(dictionaries):
    return {name: torch.stack([d[name] for d in dictionaries]) for name in dictionaries[0]}


def copy_of(tensors):
    if isinstance(tensors, dict):
        return {name: value.clone() for name, value in tensors.items()}
    return tuple(value.clone() for value in tensors)


def assert_same(one, other):
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        one, other = one.values(), other.values()
    for left, right in zip(one, other, strict=True):
        assert torch.equal(left, right)


def assert_close(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-5, atol=1e-5, msg=name)


def test_names_are_unique_and_lower_case():
    names = [cls.name for cls in DETECTOR_CLASSES]
    assert len(set(names)) == len(names)
    assert all(name == name.lower() and name.isidentifier() for name in names)


@pytest.mark.parametrize("training", [True, False])
def test_scores_have_the_names_and_shape_promised(detector, training):
    scores, statistics = detector.forward(
        detector.initial_parameters(seeded(0)),
        detector.initial_statistics(),
        draw_maps(detector.layout, 7),
        draw_maps(detector.layout, seed=1),
        training=training,
    )
    assert tuple(scores) == detector.head_names
    assert len(set(detector.head_names)) == len(detector.head_names) > 0
    assert all(score.shape == (7,) and score.dtype == torch.float32 for score in scores.values())
    assert all(score.isfinite().all() for score in scores.values())
    assert detector.combine(scores).shape == (7,)
    initial = detector.initial_statistics()
    assert {k: v.shape for k, v in statistics.items()} == {k: v.shape for k, v in initial.items()}
    assert detector.loss(scores, torch.arange(7) % 3).shape == ()


@pytest.mark.parametrize("training", [True, False])
def test_inputs_are_not_modified(detector, training):
    inputs = (
        draw_parameters(detector),
        draw_statistics(detector),
        draw_maps(detector.layout, 9),
        draw_maps(detector.layout, seed=1),
    )
    before = [copy_of(part) for part in inputs]
    scores, updated = detector.forward(*inputs, training=training)
    scores_before, kinds = copy_of(scores), ALL_KINDS.clone()
    detector.loss(scores, kinds)
    detector.combine(scores)
    for now, then in zip(inputs, before, strict=True):
        assert_same(now, then)
    assert_same(scores, scores_before)
    assert torch.equal(kinds, ALL_KINDS)
    if not training:
        assert_same(updated, inputs[1])


def test_statistics_move_towards_those_of_the_batch_by_the_momentum(detector):
    """From any start, by the same share of the way to one and the same value."""
    momentum = detector.config.norm_momentum
    starts = [draw_statistics(detector, seed) for seed in (0, 1)]
    starts.append({name: torch.zeros_like(value) for name, value in starts[0].items()})
    found = []
    for start in starts:
        _, moved = detector.forward(
            draw_parameters(detector),
            start,
            draw_maps(detector.layout, 9),
            draw_maps(detector.layout, seed=1),
            training=True,
        )
        found.append({k: (moved[k] - (1 - momentum) * start[k]) / momentum for k in start})
    for other in found[1:]:
        assert_close(other, found[0])


def test_calls_leave_no_trace_in_the_detector(detector):
    parameters, statistics = draw_parameters(detector), draw_statistics(detector)
    reference = draw_maps(detector.layout, seed=1)

    def score():
        heads, _ = detector.forward(
            parameters, statistics, draw_maps(detector.layout, 4), reference, training=False
        )
        return heads

    first = score()
    detector.forward(
        draw_parameters(detector, 5),
        statistics,
        draw_maps(detector.layout, 9, seed=6),
        draw_maps(detector.layout, seed=7),
        training=True,
    )
    assert_same(score(), first)


def test_an_images_score_does_not_depend_on_its_batch(detector):
    parameters, statistics = draw_parameters(detector), draw_statistics(detector)
    maps, reference = draw_maps(detector.layout, 6), draw_maps(detector.layout, seed=1)

    def score(chosen):
        heads, _ = detector.forward(
            parameters, statistics, tuple(m[chosen] for m in maps), reference, training=False
        )
        return heads | {"combined": detector.combine(heads)}

    together = score([0, 1, 2, 3, 4, 5])
    for others in ([3], [5, 3], [3, 3, 3], [1, 4, 3, 0]):
        place = others.index(3)
        alone = score(others)
        for name, values in together.items():
            torch.testing.assert_close(alone[name][place], values[3], rtol=1e-6, atol=1e-6)


def test_gradients_reach_every_parameter(detector):
    def objective(parameters, maps):
        scores, _ = detector.forward(
            parameters,
            detector.initial_statistics(),
            maps,
            draw_maps(detector.layout, seed=1),
            training=True,
        )
        return detector.loss(scores, ALL_KINDS)

    trained = {}
    for seed in range(10):  # in one batch alone, gradients of opposite signs may cancel
        parameters = detector.initial_parameters(seeded(seed))
        gradients = grad(objective)(parameters, draw_maps(detector.layout, 9, seed=50 + seed))
        assert gradients.keys() == parameters.keys()
        for name, gradient in gradients.items():
            assert gradient.isfinite().all(), name
            trained[name] = trained.get(name, 0.0) + gradient.abs()
    for name, total in trained.items():
        assert (total > 0).all(), f"some of {name} is never trained"


@pytest.mark.parametrize("training", [True, False])
def test_vmap_over_models_equals_a_loop(detector, training):
    parameters = [draw_parameters(detector, seed) for seed in range(MODELS)]
    statistics = [draw_statistics(detector, seed) for seed in range(MODELS)]
    maps = draw_maps(detector.layout, MODELS, 9)
    references = draw_maps(detector.layout, MODELS, seed=1)

    def one_model(parameters, statistics, maps, references):
        def objective(parameters):
            scores, updated = detector.forward(
                parameters, statistics, maps, references, training=training
            )
            return detector.loss(scores, ALL_KINDS), (scores, updated)

        return grad(objective, has_aux=True)(parameters)

    gradients, (scores, updated) = vmap(one_model)(
        stack(parameters), stack(statistics) if statistics[0] else {}, maps, references
    )
    for i in range(MODELS):
        expected_gradients, (expected_scores, expected_updated) = one_model(
            parameters[i],
            statistics[i],
            tuple(m[i] for m in maps),
            tuple(r[i] for r in references),
        )
        assert_close({k: v[i] for k, v in scores.items()}, expected_scores)
        assert_close({k: v[i] for k, v in updated.items()}, expected_updated)
        assert_close({k: v[i] for k, v in gradients.items()}, expected_gradients)


def test_vmap_scores_shared_images_by_every_model(detector):
    parameters = [draw_parameters(detector, seed) for seed in range(MODELS)]
    statistics = [draw_statistics(detector, seed) for seed in range(MODELS)]
    maps, reference = draw_maps(detector.layout, 5), draw_maps(detector.layout, seed=1)

    def score(parameters, statistics):
        return detector.forward(parameters, statistics, maps, reference, training=False)[0]

    together = vmap(score)(stack(parameters), stack(statistics) if statistics[0] else {})
    for i in range(MODELS):
        assert_close({k: v[i] for k, v in together.items()}, score(parameters[i], statistics[i]))


def test_initialisation_is_drawn_from_the_generator_alone(detector):
    state = torch.get_rng_state()
    first = detector.initial_parameters(seeded(4))
    assert torch.equal(torch.get_rng_state(), state), "the global generator was used"
    torch.manual_seed(1234)
    assert_same(detector.initial_parameters(seeded(4)), first)
    other = detector.initial_parameters(seeded(5))
    assert any(not torch.equal(first[name], other[name]) for name in first)
    assert all(value.dtype == torch.float32 and value.isfinite().all() for value in first.values())
    assert_same(detector.initial_statistics(), detector.initial_statistics())


def test_evidence_is_the_heads_scores_turned_as_the_image_score_counts_them(detector):
    scores = {name: torch.tensor([0.1, 0.5, 1.0]) for name in detector.head_names}
    evidence = detector.evidence(scores)
    assert tuple(evidence) == detector.head_names
    for name in detector.head_names:
        assert torch.equal(evidence[name].abs(), scores[name].abs())
        more = {**scores, name: scores[name] + 0.01 * evidence[name].sign()}
        assert (detector.combine(more) > detector.combine(scores)).all(), name


def test_position_scores_are_what_evidence_is_pooled_from(detector):
    """And every head of ours that people may meet says what it means."""
    arguments = (
        draw_parameters(detector),
        draw_statistics(detector),
        draw_maps(detector.layout, 5),
        draw_maps(detector.layout, seed=1),
    )
    found = detector.position_scores(*arguments)
    assert len(found) == len(detector.layout.scales)
    heads, _ = detector.forward(*arguments, training=False)
    evidence = detector.evidence(heads)
    for name in found[0]:
        pooled = []
        for scale, (_, height, width) in zip(found, detector.layout.scales, strict=True):
            assert scale[name].shape == (5, height, width)
            highest = scale[name].flatten(1).sort(dim=1, descending=True).values
            count = max(1, int(detector.config.top_fraction * height * width))
            pooled.append(highest[:, :count].mean(dim=1))
        torch.testing.assert_close(sum(pooled) / len(pooled), evidence[name])
    if type(detector) in DETECTORS:
        assert found[0]
        assert tuple(detector.meanings) == detector.head_names


def test_expected_scores_increase(detector):
    normal, anomaly = detector.expected_scores
    assert normal < anomaly


@pytest.mark.parametrize(
    "kinds", [kinds for size in (1, 2) for kinds in combinations(Kind, size)], ids=str
)
def test_loss_is_finite_when_kinds_are_missing(detector, kinds):
    labels = torch.tensor([kinds[i % len(kinds)] for i in range(6)])

    def objective(parameters):
        scores, _ = detector.forward(
            parameters,
            detector.initial_statistics(),
            draw_maps(detector.layout, 6),
            draw_maps(detector.layout, seed=1),
            training=True,
        )
        loss = detector.loss(scores, labels)
        return loss, loss

    gradients, loss = grad(objective, has_aux=True)(detector.initial_parameters(seeded(0)))
    assert loss.isfinite()
    assert loss >= 0
    assert (loss > 0) == trained_by(detector, kinds)
    assert all(gradient.isfinite().all() for gradient in gradients.values())


def test_a_batch_of_one_and_flat_maps_stay_finite(detector):
    flat = tuple(torch.ones(1, *scale) for scale in detector.layout.scales)
    reference = tuple(scale[0] for scale in flat)
    for training in (True, False):
        scores, statistics = detector.forward(
            detector.initial_parameters(seeded(0)),
            detector.initial_statistics(),
            flat,
            reference,
            training=training,
        )
        assert all(value.isfinite().all() for value in [*scores.values(), *statistics.values()])
