"""What every base detector promises: a score by name for each image, and nothing else touched."""

import pytest
import torch

from heads.contract import (
    ALL_KINDS,
    DETECTOR_CLASSES,
    assert_same,
    copy_of,
    draw_maps,
    draw_parameters,
    draw_statistics,
    seeded,
)


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
