"""Images looked at closer: pictures, places and reasons."""

from dataclasses import replace

import numpy as np
from PIL import Image

from ahl.apps.report.cases import LONGEST, make_cases, read_small
from ahl.apps.report.counts import worst_false_alarms, worst_misses
from ahl.apps.report.episodes import PSEUDO, pseudo_tiles, training_tiles
from ahl.apps.report.html import processor
from ahl.scoring.evaluation import evaluate


def test_cases_are_those_asked_for_in_their_order(detector, dataset):
    result = evaluate(detector.scorer, dataset)
    ranked = [*worst_misses(result.scored, 3), *worst_false_alarms(result.scored, 2)]
    cases = make_cases(detector.scorer, ranked)
    assert [case.name for case in cases] == [m.scored.sample.name for m in ranked]
    decision = detector.model_.decision
    for case, one in zip(cases, ranked, strict=True):
        anomalous = decision.is_anomalous(one.scored.score)
        assert case.called == f"called {'anomalous' if anomalous else 'normal'}"
        assert case.wrong == (anomalous != one.scored.sample.is_anomaly)
        assert case.facts[0].startswith("score ")
        assert case.image != case.overlay
        assert case.place
        assert case.facts[1].startswith("probability ")
        assert [like.words.split()[0] for like in case.likenesses] == ["Training", "Good"]
        assert all(like.name and like.picture for like in case.likenesses)


def test_an_image_gone_since_costs_its_picture_only(detector, dataset, tmp_path):
    result = evaluate(detector.scorer, dataset)
    (one,) = worst_misses(result.scored, 1)
    sample = type(one.scored.sample)(path=tmp_path / "gone.png", name="gone", class_name="dot")
    scored = type(one.scored)(sample=sample, score=0.0, seen=True)
    (case,) = make_cases(detector.scorer, [type(one)(scored=scored, standing="")])
    assert (case.image, case.overlay, case.reasons, case.likenesses) == (None, None, (), ())


def test_pictures_keep_their_proportions_and_are_not_enlarged():
    assert read_small(np.zeros((1000, 100, 3), np.uint8), LONGEST).shape == (LONGEST, 42, 3)
    assert read_small(np.zeros((20, 10, 3), np.uint8), LONGEST).shape == (20, 10, 3)


def test_training_images_come_from_the_model(detector):
    model = detector.model_
    tiles = training_tiles(model, range(len(model.manifest.files)))
    assert set(tiles) == set(range(len(model.manifest.files)))
    generator = model.episodes[0].support_generator
    twins = pseudo_tiles(model, generator, "p")
    assert 1 <= len(twins) <= PSEUDO == 3
    assert all(twin.alt.startswith(f"pseudo anomaly: {generator} of ") for twin in twins)


def test_the_processor_has_a_name(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Some CPU: fast\n")
    assert processor(tmp_path / "cpuinfo") == "Some CPU: fast"
    assert processor(tmp_path / "none")


def test_a_mask_is_outlined_and_named(detector, dataset, tmp_path):
    result = evaluate(detector.scorer, dataset)
    (one,) = worst_misses(result.scored, 1)
    mask = np.zeros((48, 48), dtype=np.uint8)
    mask[8:30, 8:30] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    sample = replace(one.scored.sample, masks=(tmp_path / "mask.png",))
    masked = replace(one, scored=replace(one.scored, sample=sample))
    plain, marked = make_cases(detector.scorer, [one, masked])
    assert "Green: the defect by its mask." in marked.place
    assert "Green" not in plain.place
    assert marked.overlay != plain.overlay
    assert marked.image == plain.image
