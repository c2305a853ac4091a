"""What every base detector promises: many models at once are what each is alone."""

import pytest
from torch.func import grad, vmap

from heads.contract import (
    ALL_KINDS,
    MODELS,
    assert_close,
    draw_maps,
    draw_parameters,
    draw_statistics,
    stack,
)


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
