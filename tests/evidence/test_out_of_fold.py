"""What detectors say of the images they left out calibrates the model."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ahl._common.callbacks import Callback
from ahl._common.randomness import torch_generator
from ahl.config import CalibrationConfig
from ahl.evidence import out_of_fold
from ahl.evidence.knn import descriptors
from ahl.evidence.out_of_fold import calibrate_by_folds, sample_evidence
from ahl.features.table import FeatureTable
from ahl.heads import DRA
from ahl.learning.algorithm import algorithm_1
from ahl.pipeline.learn import learn
from synthetic_features import (
    LAYOUT,
    SCRATCH,
    STAIN,
    draw_anomalies,
    draw_normals,
    draw_pseudo,
    group_of,
    to_rows,
)
from tasks import prepare_task
from tiny import tiny_config

CPU = torch.device("cpu")


def calibrated(task, model, config):
    return calibrate_by_folds(
        task.detector,
        model,
        task.data,
        task.folds,
        task.reference,
        task.preparation,
        config,
        seed=0,
        device=CPU,
        callback=Callback(),
    )


def make_task(config, anomalies=6, seed=0):
    good = draw_normals(group_of(24), 0)

    def make_pseudo(plan):
        made = [draw_pseudo(good[p.normal][None], p.generator, i) for i, p in enumerate(plan)]
        return FeatureTable.of_rows(LAYOUT, to_rows(np.concatenate(made)))

    kinds = [draw_anomalies(anomalies, kind, 10 + kind) for kind in (SCRATCH, STAIN)]
    return prepare_task(
        DRA,
        FeatureTable.of_rows(LAYOUT, to_rows(good)),
        FeatureTable.of_rows(LAYOUT, np.concatenate(kinds)[:anomalies]),
        make_pseudo,
        generators=2,
        config=config,
        seed=seed,
    )


def folds_of(task, config, seed=0):
    return out_of_fold._Folds(
        task.detector,
        task.data,
        task.folds,
        task.reference,
        task.preparation,
        config,
        seed,
        CPU,
        Callback(),
    )


def by_hand(scores, task, side):
    """Each fold's own images in deviations of the normals that its model trained on, by loops."""
    found = []
    for model, fold in enumerate(task.folds):
        known = scores[model, fold.samples.normals]
        for image in getattr(fold, side):
            found.append((scores[model, image] - known.mean()) / known.std())
    return found


def test_each_image_is_measured_by_the_one_model_that_has_not_trained_on_it(monkeypatch):
    """In spreads of those that this model trained on, and in the order of their descriptors.

    Scores are made up: each model's lie elsewhere and spread otherwise, so that another model, a
    spread over other images or another order gives other numbers.
    """
    config = tiny_config(epochs=1)
    task = make_task(config)
    models = len(task.folds)
    number = np.arange(models + 1)[:, None]  # the last one is the unified model's
    drawn = np.random.default_rng(0).normal(size=(models + 1, len(task.data)))
    scores = 100.0 * number + 3.0**number * drawn
    monkeypatch.setattr(out_of_fold, "moved", lambda model, _: model)
    monkeypatch.setattr(out_of_fold._Folds, "trained", lambda _: list(range(models)))
    monkeypatch.setattr(
        out_of_fold._Folds,
        "evidence",
        lambda _, model, samples: {"made up": torch.from_numpy(scores[model, samples])},
    )
    monkeypatch.setattr(out_of_fold, "calibrate", lambda *given: given)
    trained_on, normals, anomalies, _, labelled = calibrated(task, models, config)
    assert labelled == task.detector.labelled_heads
    np.testing.assert_array_equal(trained_on["made up"], scores[models, :24])
    for unseen, side in ((normals, "normals"), (anomalies, "anomalies")):
        expected = by_hand(scores, task, side)
        np.testing.assert_allclose(unseen.evidence["made up"], expected, rtol=1e-9)
        images = np.concatenate([getattr(fold, side) for fold in task.folds])
        maps = task.data.features.maps(torch.from_numpy(images))
        torch.testing.assert_close(unseen.descriptors, descriptors(maps, 1))


@pytest.mark.parametrize(
    ("episodes", "rate", "steps"), [(True, 0.02, 3), (False, 0.003, 6)], ids=["g", "alone"]
)
def test_a_folds_model_trains_as_what_it_stands_for_on_the_rest(monkeypatch, episodes, rate, steps):
    """Batches and final statistics are of the images that it may see; rate and steps are g's.

    Where a detector trains alone they are its own. Half of the steps, as the config says.
    """
    config = tiny_config(
        epochs=2,
        rounds=3,
        inner_steps=2,
        inner_rate=0.003,
        outer_rate=0.02,
        averaged_epochs=1,
        episodes=episodes,
    )
    config = replace(config, calibration=CalibrationConfig(share=0.5))
    task = make_task(config)
    seen = {"settled": [], "weights": []}
    draw_batches, descend, update_bn = (
        getattr(out_of_fold, name) for name in ("draw_batches", "descend", "update_bn")
    )

    def drawn(data, sets, count, *, generator, **others):
        seen.update(sets=sets, steps=count, seed=generator.initial_seed())
        return draw_batches(data, sets, count, generator=generator, **others)

    def descended(*arguments, rate):
        seen["rate"] = rate
        return descend(*arguments, rate=rate)

    def settled(detector, model, data, samples, reference, **others):
        assert all(torch.equal(a, b) for a, b in zip(reference, task.reference, strict=True))
        seen["settled"].append(samples)
        seen["weights"].append(model.parameters["seen.weight"])
        return update_bn(detector, model, data, samples, reference, **others)

    for name, function in (("draw_batches", drawn), ("descend", descended), ("update_bn", settled)):
        monkeypatch.setattr(out_of_fold, name, function)
    folds_of(task, config, seed=4).trained()
    assert (seen["rate"], seen["steps"]) == (rate, steps)
    assert seen["seed"] == torch_generator(4, "folds").initial_seed()
    own = [fold.samples for fold in task.folds]
    assert all(given is samples for given, samples in zip(seen["sets"], own, strict=True))
    assert all(given is samples for given, samples in zip(seen["settled"], own, strict=True))
    for i, weights in enumerate(seen["weights"]):
        assert not any(torch.equal(weights, other) for other in seen["weights"][:i])


def test_a_fold_model_does_not_depend_on_what_it_leaves_out():
    """Other left-out images, the same detector: nothing of them leaks into its training."""
    config = tiny_config(epochs=2)
    task = make_task(config)
    fold = task.folds[0]
    spoiled = task.data.features.rows(np.arange(len(task.data)))
    spoiled[torch.from_numpy(np.concatenate([fold.normals, fold.anomalies]))] += 3.0
    other = replace(
        task.data,
        features=FeatureTable.of_rows(task.detector.layout, spoiled.half().numpy()),
    )
    same = replace(
        task.data,
        features=FeatureTable.of_rows(
            task.detector.layout,
            task.data.features.rows(np.arange(len(other))).half().numpy(),
        ),
    )
    models = [folds_of(replace(task, data=data), config).trained() for data in (same, other)]
    for part in (0, 1):
        for name, value in models[0][0][part].items():
            assert torch.equal(value, models[1][0][part][name]), name
    changed = models[0][1].parameters, models[1][1].parameters
    assert any(not torch.equal(changed[0][name], changed[1][name]) for name in changed[0])


@pytest.mark.parametrize(("averaged", "first"), [(1, 4), (2, 3), (3, 2), (9, 1)])
def test_fold_models_average_as_large_a_part_of_their_steps_as_g(averaged, first, monkeypatch):
    """Of 4 epochs of 2 rounds; the weights of a step are marked by its number."""
    config = tiny_config(epochs=4, rounds=2, averaged_epochs=averaged)
    task = make_task(config)

    def marked(detector, models, batches, *, rate):
        for step, _ in enumerate(batches, start=1):
            parameters = {name: torch.full_like(v, step) for name, v in models.parameters.items()}
            yield models._replace(parameters=parameters), torch.zeros(len(task.folds))

    monkeypatch.setattr(out_of_fold, "descend", marked)
    models = folds_of(task, config).trained()
    steps = torch.arange(2 * first - 1, 9).float()  # of the epochs from `first` on
    for value in models[0].parameters.values():
        torch.testing.assert_close(value, torch.full_like(value, float(steps.mean())))


def test_the_models_own_normals_are_the_zero_of_its_scores():
    config = tiny_config(epochs=3)
    task = make_task(config)
    *_, state = algorithm_1(
        task.detector,
        task.data,
        task.distributions,
        task.reference,
        config,
        seed=0,
        device=CPU,
    )
    found = calibrated(task, state.unified, config)
    own = sample_evidence(
        task.detector,
        state.unified,
        task.data.features,
        np.arange(24),
        task.reference,
        task.preparation,
    )
    for i, name in enumerate(found.names):
        assert found.means[i] == pytest.approx(float(own[name].double().mean()), abs=1e-6)
    assert sum(found.weights) == pytest.approx(1.0)


def test_images_never_seen_spread_about_as_the_calibration_says():
    """Scores of new normals are near 0 with a spread near 1; uncalibrated folds would say less."""
    config = tiny_config(epochs=5)
    task = make_task(config)
    model = learn(task, config, seed=0, device=CPU)
    new = FeatureTable.of_rows(LAYOUT, to_rows(draw_normals(group_of(60), 99)))
    scored = torch.cat([model.score_rows(rows).score for _, rows in new.chunks()])
    assert abs(float(scored.median())) < 1.5
    defects = torch.from_numpy(draw_anomalies(20, SCRATCH, 77)).float()
    assert float(model.score_rows(defects).score.median()) > float(scored.quantile(0.9))


def test_a_single_anomaly_leaves_what_is_believed_without_any():
    config = tiny_config(epochs=2)
    model = learn(make_task(config, anomalies=1), config, seed=0, device=CPU)
    believed = {"holistic": 0.5, "seen": 0.5, "pseudo": 1.0, "residual": 1.0, "memory": 1.5}
    weights = dict(zip(model.calibration.names, model.calibration.weights, strict=True))
    whole = sum(believed[name] for name in weights)
    assert weights == pytest.approx({name: believed[name] / whole for name in weights})


def test_no_folds_leave_the_detectors_own_sum():
    config = replace(tiny_config(epochs=2), calibration=CalibrationConfig(folds=0))
    task = make_task(config)
    model = learn(task, config, seed=0, device=CPU)
    assert model.calibration is None
    scored = model.score_rows(torch.from_numpy(draw_anomalies(3, SCRATCH, 5)).float())
    assert scored.evidence is None
    heads = {**scored.heads, "holistic": -scored.heads["holistic"]}  # told the other way round
    torch.testing.assert_close(scored.score, task.detector.combine(heads))


def test_a_score_is_the_sum_of_its_evidence():
    config = tiny_config(epochs=2)
    model = learn(make_task(config), config, seed=0, device=CPU)
    scored = model.score_rows(torch.from_numpy(draw_anomalies(3, SCRATCH, 5)).float())
    assert tuple(scored.evidence) == model.evidence_names
    torch.testing.assert_close(scored.score, sum(scored.evidence.values()))


def test_calibration_is_announced_step_by_step():
    class Listener(Callback):
        stages = []

        def on_stage(self, stage, done, total):
            self.stages.append((stage, done, total))

    config = tiny_config(epochs=4)
    learn(make_task(config), config, seed=0, device=CPU, callback=Listener())
    steps = [(done, total) for stage, done, total in Listener.stages if stage == "calibration"]
    assert steps == [(i, 4) for i in range(5)], "as many steps as g takes: 4 epochs of a round"
