"""`ahl threshold`."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from commands import run
from small_images import write_class


def test_a_threshold_is_kept_in_the_model_and_changes_no_score(model, inspection_folder, tmp_path):
    write_class(tmp_path / "new", "good", 24, first=80)
    (tmp_path / "new" / "bad.png").write_text("no image")
    images = [tmp_path / "new", inspection_folder / "good"]
    decided = tmp_path / "decided.ahl"
    options = ("--max-false-alarm-rate", 0.1, "-o", decided)
    told = json.loads(run("threshold", model, *images, *options, "--json").stdout)
    assert (told["normals"], told["held_out"]) == (24, False)
    assert [one["path"] for one in told["skipped"]] == [str(tmp_path / "new" / "bad.png")]
    assert told["skipped"][0]["error"]
    assert told["trained_on"] == len(list((inspection_folder / "good").iterdir()))
    assert told["expected_false_alarm_rate"] <= 0.1
    before = run("predict", model, tmp_path / "new", "--json", code=3).stdout.splitlines()
    after = run("predict", decided, tmp_path / "new", "--json", code=3).stdout.splitlines()
    scored = [json.loads(line) for line in after]
    scored = [one for one in scored if "score" in one]
    assert [one["score"] for one in scored] == [
        one["score"] for one in map(json.loads, before) if "score" in one
    ]
    assert sum(one["anomalous"] for one in scored) <= 2
    assert {one["verdict"] for one in scored} <= {"normal", "uncertain", "anomalous"}
    shown = run("predict", decided, tmp_path / "new", code=3).stdout
    assert "verdict" in shown
    for one in scored:
        side = "anomalous" if one["anomalous"] else "normal"
        word = side if one["verdict"] == side else f"{side}?"
        assert re.search(
            rf"{one['score']:.4f} +[01]\.\d\d  {re.escape(word)} +{re.escape(one['path'])}", shown
        )
    assert "threshold" in run("info", decided).stdout
    people = run("threshold", decided, *images, "--max-false-alarm-rate", 0.2)
    assert "from 24 good images not trained on" in people.stdout
    assert "for its own rate" not in people.stdout
    assert f"skipped {tmp_path / 'new' / 'bad.png'}: " in people.stderr
    assert "1 unreadable image was skipped." in people.stderr
    assert "Of the next 1,000 good images" in people.stdout
    low, high = told["next_false_alarms"]
    assert 0 <= low < 1000 * told["expected_false_alarm_rate"] < high
    assert "Next: ahl predict" in people.stdout


def test_too_few_normals_for_a_threshold_are_one_clear_line(model, inspection_folder):
    before = model.read_bytes()
    result = run("threshold", model, inspection_folder / "good", code=1)
    assert "at least 99 are needed" in result.stderr
    assert "were trained on" in result.stderr
    assert model.read_bytes() == before


def test_a_threshold_can_be_set_on_what_training_left_out(model, tmp_path):
    decided = tmp_path / "decided.ahl"
    options = ("--max-false-alarm-rate", 0.2, "-o", decided)
    told = json.loads(run("threshold", model, *options, "--json").stdout)
    assert told["held_out"]
    assert told["anomalies"] >= told["missed"] >= 0 < told["anomalies"]
    assert told["miss_rate_low"] <= told["expected_miss_rate"] <= told["miss_rate_high"]
    shown = run("threshold", model, *options).stdout
    assert "of the training, scored out-of-fold" in shown
    assert "give new good images for its own rate" in shown
    assert f"Of {told['anomalies']} labelled anomalies" in shown


def test_defects_among_the_good_images_are_noticed(model, tmp_path, monkeypatch):
    write_class(tmp_path / "new", "good", 1, first=80)
    options = ("--max-false-alarm-rate", 0.6, "-o", tmp_path / "decided.ahl")
    anomalies = np.array([-1e9, -1e9, -1e9])
    monkeypatch.setattr("ahl.scoring.thresholds.out_of_fold_anomalies", lambda model: anomalies)
    shown = run("threshold", model, tmp_path / "new", *options).stdout
    assert "all of these 3 anomalies would be missed. Are the good images really good" in shown
    assert "from 1 good image not trained on" in shown
    for few in (anomalies[:2], np.array([-1e9, -1e9, 1e9])):
        monkeypatch.setattr("ahl.scoring.thresholds.out_of_fold_anomalies", lambda m, few=few: few)
        assert "Warning" not in run("threshold", model, tmp_path / "new", *options).stdout


@pytest.mark.parametrize("verb", ["threshold", "adapt"])
def test_labelled_folders_are_not_taken_for_good_images(verb, model, inspection_folder, tmp_path):
    result = run(verb, model, inspection_folder, "-o", tmp_path / "m.ahl", code=1)
    assert f"give {inspection_folder / 'good'}" in result.stderr
    assert not (tmp_path / "m.ahl").exists()


def test_masks_beside_good_images_are_no_labelled_images(model, tmp_path):
    for path in write_class(tmp_path / "good", "good", 3, first=80):
        mask = tmp_path / "masks" / path.name
        mask.parent.mkdir(exist_ok=True)
        Image.new("L", (48, 48)).save(mask)
    result = run("threshold", model, tmp_path, "-o", tmp_path / "m.ahl", code=1)
    assert "3 masks are kept apart" in result.stderr
    assert "at least 99 are needed" in result.stderr


def test_a_benchmark_layout_is_not_taken_for_good_images_either(model, benchmark_folder):
    result = run("threshold", model, benchmark_folder, code=1)
    assert f"give {benchmark_folder / 'train' / 'good'}" in result.stderr
    result = run("threshold", model, benchmark_folder / "train", code=1)
    assert "are needed" in result.stderr, "good images alone are taken"
