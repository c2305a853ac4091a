"""`ahl evaluate`."""

import json
import shutil

import numpy as np
from PIL import Image

from commands import run
from small_images import write_class


def test_evaluate_reports_the_protocols_figures(model, inspection_folder, tmp_path):
    root = tmp_path / "test"
    for name, count in (("good", 6), ("dot", 4), ("frame", 4)):
        write_class(root / name, name, count, first=60)
    result = run("evaluate", model, root, "--json")
    values = json.loads(result.stdout)
    assert {
        "auroc",
        "average_precision",
        "auroc_seen",
        "auroc_unseen",
        "fpr95",
        "classes",
        "left_out",
    } <= set(values)
    assert values["classes"]["frame"]["count"] == 4
    assert values["classes"]["frame"]["seen"] is False
    assert values["classes"]["dot"]["seen"] is True
    people = run("evaluate", model, root).stdout
    assert "AUROC" in people
    assert "frame" in people
    run("evaluate", model, inspection_folder, code=1)


def test_evaluate_counts_what_lies_above_the_threshold(model, inspection_folder, tmp_path):
    decided = tmp_path / "decided.ahl"
    run("threshold", model, "--max-false-alarm-rate", 0.2, "-o", decided)
    write_class(tmp_path / "data" / "good", "good", 6, first=300)
    write_class(tmp_path / "data" / "bar", "bar", 3, first=300)
    told = json.loads(run("evaluate", decided, tmp_path / "data", "--json").stdout)
    lines = run("predict", decided, tmp_path / "data" / "bar", "--json").stdout.splitlines()
    above = sum(json.loads(line)["anomalous"] for line in lines)
    assert told["classes"]["bar"]["called_anomalous"] == above
    assert f"above {told['threshold']:.4f}" in run("evaluate", decided, tmp_path / "data").stdout
    plain = json.loads(run("evaluate", model, tmp_path / "data", "--json").stdout)
    assert (plain["threshold"], plain["classes"]["bar"]["called_anomalous"]) == (None, None)


def test_evaluate_counts_the_images_that_set_the_threshold(model, tmp_path):
    decided, data = tmp_path / "decided.ahl", tmp_path / "data"
    write_class(data / "good", "good", 6, first=300)
    write_class(data / "bar", "bar", 3, first=300)
    shutil.copytree(data / "good", tmp_path / "new")
    next(iter(sorted((data / "good").iterdir()))).unlink()
    run("threshold", model, tmp_path / "new", "--max-false-alarm-rate", 0.2, "-o", decided)
    assert json.loads(run("evaluate", decided, data, "--json").stdout)["threshold_images"] == 5
    words = "5 good images are among those that the threshold was set on"
    assert words in run("evaluate", decided, data).stdout
    assert json.loads(run("evaluate", model, data, "--json").stdout)["threshold_images"] == 0
    assert "was set on" not in run("evaluate", model, data).stdout


def test_what_cannot_be_measured_is_said(model, tmp_path):
    write_class(tmp_path / "data" / "good", "good", 2, first=300)
    assert "No anomalies are left to test" in run("evaluate", model, tmp_path / "data").stdout
    for path in (tmp_path / "data" / "good").iterdir():
        path.write_text("no image")
    assert "can be read" in run("evaluate", model, tmp_path / "data", code=1).stderr


def test_a_new_class_alone_is_called_unseen_and_not_normal(model, inspection_folder, tmp_path):
    shutil.copytree(inspection_folder, tmp_path / "all")
    write_class(tmp_path / "all" / "frame", "frame", 2)
    result = run("evaluate", model, tmp_path / "all")
    (line,) = [line for line in result.output.splitlines() if "│ frame" in line]
    assert "unseen" in line


def test_evaluate_measures_heat_maps_where_there_are_masks(model, tmp_path):
    write_class(tmp_path / "good", "good", 6, first=300)
    dots = write_class(tmp_path / "dot", "dot", 3, first=300)
    for path in dots[:2]:
        mask = np.zeros((48, 48), dtype=np.uint8)
        mask[10:20, 5:15] = 255
        Image.fromarray(mask).save(path.with_name(f"{path.stem}_mask.png"))
    told = json.loads(run("evaluate", model, tmp_path, "--json").stdout)["pixels"]
    assert (told["masked"], told["unmasked"]) == (2, 1)
    assert 0 < told["auroc"] < 1
    shown = run("evaluate", model, tmp_path).stdout
    assert "by the masks of 2 images" in shown
    assert "1 anomaly has no readable mask" in shown
    for path in dots[:2]:
        path.with_name(f"{path.stem}_mask.png").unlink()
    assert json.loads(run("evaluate", model, tmp_path, "--json").stdout)["pixels"] is None
    assert "Heat maps" not in run("evaluate", model, tmp_path).stdout


def test_evaluate_names_labels_that_contradict_the_training(model, inspection_folder, tmp_path):
    write_class(tmp_path / "good", "good", 6, first=300)
    write_class(tmp_path / "dot", "dot", 3, first=300)
    shutil.copy(inspection_folder / "dot" / "000.png", tmp_path / "good" / "wrong.png")
    (told,) = json.loads(run("evaluate", model, tmp_path, "--json").stdout)["conflicts"]
    assert (told["name"], told["trained"]) == ("good/wrong.png", "dot/000.png")
    shown = run("evaluate", model, tmp_path).stdout
    assert "good/wrong.png (good) is almost the same picture as dot/000.png" in shown
