"""A trained model corrected by what it got wrong."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ahl import AHL
from ahl._common.errors import DataError
from ahl.evidence.coreset import patches_of
from ahl.evidence.prepared import Preparation
from ahl.features.table import table_of_maps
from ahl.model.decision import decide
from ahl.model.exemplars import no_exemplars
from ahl.model.manifest import Manifest, TrainingFile
from ahl.pipeline import update_training
from ahl.pipeline.update_training import STRENGTHS, _Run, update_on_exemplars
from pipeline.judging import judged
from pipeline.small_updates import ODD, SEEN, UNSEEN, maps, prepared, renamed, trained, wrong
from tiny import tiny_config

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model():
    return trained("dra")


def scores(model, given):
    return model.score_rows(table_of_maps(given).rows(np.arange(len(given[0])))).score


@pytest.mark.parametrize("base", ["dra", "devnet"])
def test_a_missed_defect_raises_its_fellows_above_the_normals(model, base):
    """Over six draws: whether the fellows of a single one rise is up to the draw."""
    model = model if base == "dra" else trained(base)
    before, after = [], []
    for seed in range(50, 650, 100):
        missed, fellows, normals = (
            maps(1, seed, UNSEEN),
            maps(30, seed + 1, UNSEEN),
            maps(30, seed + 2),
        )
        found = update_on_exemplars(model, wrong(model, missed, "anomaly"), device=CPU)
        for share, one in ((before, model), (after, found.model)):
            above = scores(one, fellows)[:, None] > scores(one, normals)[None]
            share.append(float(above.float().mean()))
        assert found.corrected == 1
        assert found.known.images[-1].role == "anomaly"
        assert not found.worsens
        if seed == 50:
            assert found.after[-1] > found.before[-1]
    assert np.mean(after) > np.mean(before)


def test_a_false_alarm_lowers_its_fellows(model):
    alarm, fellows, normals = maps(1, 60, ODD, 12), maps(30, 61, ODD, 12), maps(30, 62)
    found = update_on_exemplars(model, wrong(model, alarm, "normal"), device=CPU)
    assert found.after[-1] < found.before[-1]
    lift = [
        float(scores(m, fellows).mean() - scores(m, normals).mean()) for m in (model, found.model)
    ]
    assert lift[1] < lift[0]
    before, after = model.preparation.memory, found.model.preparation.memory
    assert len(after.patches[0]) == len(before.patches[0]) + 64, "its patches are remembered"
    own = patches_of(torch.from_numpy(alarm[0]).float())[0]
    torch.testing.assert_close(after.patches[0][-64:], own, rtol=1e-2, atol=1e-2)
    known = model.calibration.knn, found.model.calibration.knn
    assert len(known[1].places) == len(known[0].places) + 1


def test_what_heads_see_of_kept_images_is_as_if_the_alarm_had_been_remembered(model):
    alarm = wrong(model, maps(1, 60, ODD), "normal")
    found = update_on_exemplars(model, alarm, device=CPU)
    normal = maps(1, 63)
    own = wrong(model, normal, "normal")
    held = replace(model, exemplars=model.exemplars + renamed(own, "threshold"))
    again = update_on_exemplars(held, alarm, device=CPU).model.exemplars
    row = again.rows[[one.role for one in again.images].index("threshold")].float()
    expected = prepared(found.model, normal)[0]
    torch.testing.assert_close(row, expected, rtol=2e-3, atol=2e-3)


def test_an_alarm_is_not_near_its_own_patches(model):
    """While the heads learn from it: remembered, it would look more normal than any normal."""
    alarms = wrong(model, maps(2, 60, ODD, 12), "normal")
    alone, both = (_Run.start(model, one, CPU) for one in (alarms.chosen(np.arange(1)), alarms))
    assert torch.equal(alone.wrong.rows, alarms.rows[:1])
    layout = model.detector.layout
    for near, far in zip(
        *(layout.split(one.wrong.rows.float()) for one in (both, alone)), strict=True
    ):
        assert (near[0, -1] <= far[0, -1]).all(), "the other one's patches do count"
        assert float(near[0, -1].mean()) > -2 * model.preparation.memory.weight


def test_the_same_correction_gives_the_same_model(model):
    given = wrong(model, maps(1, 50, UNSEEN), "anomaly")
    one, two = (update_on_exemplars(model, given, device=CPU) for _ in range(2))
    assert one.model.unified.parameters.keys() == two.model.unified.parameters.keys()
    for name, value in one.model.unified.parameters.items():
        assert torch.equal(value, two.model.unified.parameters[name])
    assert torch.equal(one.after, two.after)


def test_an_image_told_twice_is_kept_once_and_may_change_its_label(model):
    given = wrong(model, maps(1, 50, UNSEEN), "anomaly")
    once = update_on_exemplars(model, given, device=CPU).model
    twice = update_on_exemplars(once, given, device=CPU).model
    assert len(twice.exemplars) == len(once.exemplars) == len(model.exemplars) + 1
    other = update_on_exemplars(once, renamed(given, "normal"), device=CPU)
    assert len(other.model.exemplars) == len(once.exemplars) + 1, "another image"
    same = replace(given, images=(replace(given.images[0], role="normal"),))
    changed = update_on_exemplars(once, same, device=CPU).model.exemplars
    assert [one.role for one in changed.images if one.sha256 == "new 0"] == ["normal"]


def test_a_threshold_is_set_anew_for_its_rate(model):
    held = replace(model, decision=decide(model.calibration.normal_scores, 0.1, held_out=True))
    found = update_on_exemplars(held, wrong(model, maps(1, 50, UNSEEN), "anomaly"), device=CPU)
    own = decide(found.model.calibration.normal_scores, 0.1, held_out=True)
    assert found.model.decision == own.against(found.model.calibration.anomaly_scores)
    assert found.limit_before == pytest.approx(held.decision.threshold)
    assert found.limit_after == own.threshold
    kept = renamed(wrong(model, maps(25, 70), "normal"), "threshold")
    new = replace(
        model,
        exemplars=model.exemplars + kept,
        decision=decide(model.score_prepared(kept.rows).score.double().numpy(), 0.1),
    )
    found = update_on_exemplars(new, wrong(model, maps(1, 50, UNSEEN), "anomaly"), device=CPU)
    rows = found.model.exemplars.chosen(found.model.exemplars.of_role("threshold")).rows
    again = found.model.score_prepared(rows).score.double().numpy()
    assert replace(found.model.decision, anomalies=0, missed=0) == decide(again, 0.1)


def test_a_threshold_without_enough_images_goes(model):
    alone = replace(model, decision=decide(np.arange(30.0), 0.1))
    found = update_on_exemplars(alone, wrong(model, maps(1, 50, UNSEEN), "anomaly"), device=CPU)
    assert found.model.decision is None


@pytest.fixture
def roomy(monkeypatch):
    """The memory of the tests is smaller than one image's patches."""
    monkeypatch.setattr("ahl.pipeline.update_training.MOST_REMEMBERED", 100)


@pytest.mark.usefixtures("roomy")
def test_a_wrong_label_is_seen_to_worsen(model):
    """The very defects that were shown, given as good images."""
    shown = model.exemplars.chosen(model.exemplars.of_role("anomaly"))
    found = update_on_exemplars(model, renamed(shown, "normal"), device=CPU)
    before, after = (m.score_prepared(shown.rows).score.mean() for m in (model, found.model))
    assert after < before
    assert found.worsens or found.mended < len(shown)


def test_without_calibration_or_threshold_the_order_is_held_to(model):
    plain = replace(model, calibration=None)
    found = update_on_exemplars(plain, wrong(model, maps(1, 50, UNSEEN), "anomaly"), device=CPU)
    assert found.right_after is None
    assert not found.worsens
    assert found.after[-1] > found.before[-1]


def test_a_model_without_memory_can_be_corrected(model):
    bare = tiny_config(epochs=3)
    bare = replace(bare, memory=replace(bare.memory, patches=0))
    plain = AHL(config=bare).fit_features(maps(20, 0), maps(3, 1, SEEN)).model_
    assert isinstance(plain.preparation, Preparation)
    found = update_on_exemplars(plain, wrong(plain, maps(1, 60, ODD), "normal"), device=CPU)
    assert found.model.preparation.memory is None


@pytest.mark.parametrize("role", ["normal", "anomaly"])
def test_a_model_with_no_other_good_images_is_refused(model, role):
    empty = replace(model, exemplars=no_exemplars(model.detector.layout.row_size))
    with pytest.raises(DataError, match="too few other good images"):
        update_on_exemplars(empty, wrong(model, maps(1, 50, UNSEEN), "anomaly"), device=CPU)
    kept = model.exemplars.chosen(model.exemplars.of_role("normal"))
    told = renamed(kept, role)
    named = replace(model, exemplars=told)
    with pytest.raises(DataError, match="too few other good images"):
        update_on_exemplars(named, told, device=CPU)


def test_more_false_alarms_than_can_be_remembered_are_refused(model):
    many = wrong(model, maps(4, 60, ODD), "normal")
    with pytest.raises(DataError, match="cannot store so many"):
        update_on_exemplars(model, many, device=CPU)


@pytest.mark.usefixtures("roomy")
def test_alarms_do_not_lift_a_threshold_set_on_what_was_left_out(model):
    """They were chosen because they lie above it: new normals exceed it as often as before."""
    normals = maps(300, 90)
    before = scores(model, normals)
    alarms = before.argsort()[-3:].numpy()
    chosen = tuple(scale[alarms] for scale in normals)
    held = replace(model, decision=decide(model.calibration.normal_scores, 0.1, held_out=True))
    found = update_on_exemplars(held, wrong(model, chosen, "normal"), device=CPU)
    assert found.model.decision.normals == held.decision.normals
    assert found.model.decision.threshold == pytest.approx(held.decision.threshold, abs=1e-3)
    assert found.before[-3:].min() > held.decision.threshold, "they are false alarms indeed"
    assert found.after[-3:].max() < found.before[-3:].max()


def test_the_image_that_the_threshold_is_does_not_lie_above_it(model):
    kept = renamed(wrong(model, maps(25, 70), "normal"), "threshold")
    # As set on rows that are not rounded: a little lower.
    scores = model.score_prepared(kept.rows).score.double().numpy() - 1e-4
    new = replace(model, exemplars=model.exemplars + kept, decision=decide(scores, 0.05))
    found = update_on_exemplars(new, wrong(model, maps(1, 50, UNSEEN), "anomaly"), device=CPU)
    own = [i for i, one in enumerate(found.known.images) if one.role == "threshold"]
    assert found.right_before[own].all()


@pytest.mark.parametrize(("role", "kind"), [("normal", 0), ("anomaly", 1)])
def test_a_wrong_image_counts_as_often_as_the_strength_says(model, role, kind):
    """Among those of its kind, behind what is kept; normals, then anomalies, then pseudo ones."""
    given = wrong(model, maps(1, 50, UNSEEN), role)
    run = _Run.start(model, given, CPU)
    kept = [one.role for one in run.kept.images]
    for strength in (1, 3):
        data = run._training_set(strength)
        counts = [kept.count(one) for one in ("normal", "anomaly", "pseudo")]
        counts[kind] += strength
        assert data.kinds.bincount().tolist() == counts
        own = data.everything.by_kind()[kind][-strength:]
        for row in data.features.rows(own):
            assert torch.equal(row, run.wrong.rows[0].float())


def test_scores_move_with_the_heads(model):
    """The unit of each kind of evidence is what kept normals have of it after the epochs."""
    run = _Run.start(model, wrong(model, maps(1, 50, UNSEEN), "anomaly"), CPU)
    found = run.corrected(1).model
    normals = run.kept.of_role("normal")
    before = update_training._evidence(model, run.kept_before, normals)
    after = update_training._evidence(found, run.kept, normals)
    expected = run.extended.calibration.moved(before, after)
    assert found.calibration.means == pytest.approx(expected.means)
    assert found.calibration.deviations == pytest.approx(expected.deviations)
    assert found.calibration.means != run.extended.calibration.means


@pytest.mark.parametrize(
    ("outcomes", "taken", "chosen"),
    [
        ([(False, 1)], 1, 0),
        ([(True, 1), (False, 1)], 2, 1),
        ([(False, 0), (False, 1)], 2, 1),
        ([(False, 0), (True, 1)], 2, 0),
    ],
    ids=["the first is enough", "the first worsens", "the first mends nothing", "both fail"],
)
def test_the_gentlest_update_that_mends_all_and_worsens_nothing(
    model, monkeypatch, outcomes, taken, chosen
):
    made, tried = [], []
    for worsens, mended in outcomes:
        after = [0.0, 2.0 * worsens, 2.0, 2.0, 2.0 * mended]
        made.append(judged(model, [0.0, 0.0, 2.0, 2.0, 0.0], after))
        assert (made[-1].worsens, made[-1].mended) == (worsens, mended)

    def corrected(_, strength):
        tried.append(strength)
        return made[len(tried) - 1]

    monkeypatch.setattr(_Run, "corrected", corrected)
    given = wrong(model, maps(1, 50, UNSEEN), "anomaly")
    assert update_on_exemplars(model, given, device=CPU) is made[chosen]
    assert tuple(tried) == STRENGTHS[:taken]


@pytest.mark.parametrize("role", ["normal", "anomaly"])
def test_an_image_that_was_trained_on_is_not_taken_for_a_new_one(model, role):
    """It is remembered already, and says nothing of images that the heads have not seen."""
    given = wrong(model, maps(1, 60, ODD), role)
    file = TrainingFile(name="x", sha256="new 0", class_name="good" if role == "normal" else "x")
    known = replace(model, manifest=Manifest(files=(file,)))
    new, old = (_Run.start(one, given, CPU).extended for one in (model, known))
    before = model.calibration
    assert len(old.preparation.memory.patches[0]) == len(model.preparation.memory.patches[0])
    assert len(old.calibration.knn.places) == len(before.knn.places)
    assert len(old.calibration.missed) == 0
    if role == "normal":
        assert len(new.calibration.knn.places) == len(before.knn.places) + 1
    else:
        assert len(new.calibration.missed) == 1
