"""`ahl update`."""

import json

import pytest

from ahl.pipeline.feedback.store import FeedbackStore
from ahl.pipeline.update_result import Update
from ahl.scoring.opening import open_scorer
from commands import run
from small_images import write_class


@pytest.fixture(scope="module")
def wrong(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wrong")
    return {
        name: write_class(folder / name, name, 2, first=first)
        for name, first in (("frame", 60), ("good", 70))
    }


def test_update_shows_before_and_after_and_writes_the_corrected_model(model, wrong, tmp_path):
    corrected, before = tmp_path / "u.ahl", model.read_bytes()
    options = ("--kind", "frame", "-o", corrected, "--force")
    images = ("--missed", *wrong["frame"], "--false-alarm", *wrong["good"])
    told = json.loads(run("update", model, *images, *options, "--json").stdout)
    assert model.read_bytes() == before
    labels = [(one["name"], one["label"]) for one in told["corrected"]]
    assert labels == [(p.as_posix(), "defect") for p in wrong["frame"]] + [
        (p.as_posix(), "good") for p in wrong["good"]
    ]
    assert told["model"] == str(corrected)
    assert set(told["known"]) == {"good", "defects"}
    scores = [
        json.loads(line)["score"]
        for line in run("predict", corrected, *wrong["frame"], "--json").stdout.splitlines()
    ]
    raised = [one["score_after"] for one in told["corrected"][:2]]
    assert scores == pytest.approx(raised, abs=0.05)
    shown = run("update", model, *images, *options).stdout
    assert "Corrected images" in shown
    assert f"Model: {corrected}" in shown
    assert "frame" in run("info", corrected).stdout


def test_a_correction_that_worsens_writes_nothing(model, wrong, tmp_path, monkeypatch):
    monkeypatch.setattr(Update, "refusals", ["known defects called normal: 0 before, 2 after of 9"])
    target = tmp_path / "u.ahl"
    options = ("--missed", wrong["frame"][0], "-o", target)
    result = run("update", model, *options, "--json", code=1)
    assert json.loads(result.stdout)["worsens"]
    assert json.loads(result.stdout)["model"] is None
    assert json.loads(result.stdout)["refusals"] == Update.refusals
    assert (
        "worse on these: known defects called normal: 0 before, 2 after of 9. Check"
        in result.stderr
    )
    assert "--force" in result.stderr
    assert not target.exists()
    run("update", model, *options, "--force")
    assert target.exists()


def test_usage_and_unreadable_files(model, wrong, tmp_path):
    assert "--missed" in run("update", model, code=2).stderr
    for kind in ("good", ""):
        assert "not good" in run("update", model, "--missed", "x", "--kind", kind, code=2).stderr
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    options = ("-o", tmp_path / "u.ahl")
    assert (
        "bad.png"
        in run("update", model, "--missed", bad, wrong["frame"][0], *options, code=1).stderr
    )
    gone = tmp_path / "gone.png"
    assert (
        "gone.png"
        in run("update", model, "--missed", wrong["frame"][0], gone, *options, code=1).stderr
    )
    assert not (tmp_path / "u.ahl").exists()
    same = run(
        "update", model, "--missed", wrong["good"][0], "--false-alarm", wrong["good"][0], code=1
    )
    assert "same image" in same.stderr


def test_folders_tell_the_class(model, tmp_path):
    """A folder that is given names the kind, that of a file only if it is a known class."""
    (dot,) = write_class(tmp_path / "dot", "dot", 1, first=90)
    (line,) = write_class(tmp_path / "line3", "dot", 1, first=91)
    write_class(tmp_path / "cracked", "dot", 1, first=92)
    write_class(tmp_path / "new" / "dent", "dot", 1, first=93)
    options = ("-o", tmp_path / "u.ahl", "--force")
    given = ("--missed", dot, line, tmp_path / "cracked", tmp_path / "new")
    told = json.loads(run("update", model, *given, *options, "--json").stdout)
    assert [one["class"] for one in told["corrected"]] == ["dot", "missed", "cracked", "dent"]
    assert "dent" in run("update", model, *given, *options).stdout
    named = json.loads(run("update", model, *given, "--kind", "a", *options, "--json").stdout)
    assert {one["class"] for one in named["corrected"]} == {"a"}
    good = write_class(tmp_path / "good", "dot", 1, first=94)[0].parent
    assert (
        "class of a missed defect is 'good'"
        in run("update", model, "--missed", good, code=2).stderr
    )


@pytest.mark.parametrize("name", ["dot", "good"])
def test_an_answer_on_an_uncertain_image_moves_its_score(model, tmp_path, name):
    """Farther to its side of the threshold: to be right is not all that there is to learn."""
    decided, feedback = tmp_path / "d.ahl", tmp_path / "feedback"
    fresh = write_class(tmp_path / "fresh", "good", 24, first=200)
    run("threshold", model, *fresh, "--max-false-alarm-rate", "0.1", "-o", decided)
    paths = write_class(tmp_path / "new", name, 6, first=400)
    store, uncertain = FeedbackStore(feedback, 10**7), 0
    for path, one in zip(paths, open_scorer(decided).predict(paths), strict=True):
        if one.verdict == "uncertain" and one.anomalous == (name != "good"):
            uncertain += 1
            store.add(path.read_bytes(), path.name, name, one, "")
    assert uncertain
    told = json.loads(run("update", decided, "--feedback", feedback, "--json").stdout)
    assert len(told["corrected"]) == uncertain
    sign = -1 if name == "good" else 1
    for one in told["corrected"]:
        assert one["right_before"]
        before, after = (one[f"score_{w}"] - told[f"limit_{w}"] for w in ("before", "after"))
        assert sign * after > sign * before


def test_a_changed_label_is_said(model, inspection_folder, tmp_path):
    good = next(iter(sorted((inspection_folder / "good").iterdir())))
    result = run("update", model, "--missed", good, "-o", tmp_path / "u.ahl", "--force")
    assert "was trained on as good; it is now given as a defect" in " ".join(result.stderr.split())


def test_a_lost_threshold_is_said(model, tmp_path):
    new = write_class(tmp_path / "new", "good", 19, first=80)
    decided = tmp_path / "d.ahl"
    run("threshold", model, *new, "--max-false-alarm-rate", 0.05, "-o", decided)
    options = ("-o", tmp_path / "u.ahl", "--force")
    told = json.loads(run("update", decided, "--false-alarm", new[0], *options, "--json").stdout)
    assert told["threshold_lost"]
    assert (
        "The threshold was removed"
        in run("update", decided, "--false-alarm", new[0], *options).stdout
    )
