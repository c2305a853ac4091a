"""The command, as people and scripts use it."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from ahl.cli import main
from ahl.cli.common import own_name
from small_images import write_class

VERBS = ("train", "predict", "evaluate", "info", "demo")


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def train_options(tmp_path):
    return ("--backbone", "embedded", "--image-size", 64, "--epochs", 2, "--cache", tmp_path)


@pytest.fixture(scope="module")
def model(inspection_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    run("train", inspection_folder, "-o", folder / "m.ahl", "--json", *train_options(folder))
    return folder / "m.ahl"


@pytest.mark.parametrize("arguments", [["--help"], *([verb, "--help"] for verb in VERBS)])
def test_help_loads_nothing_heavy(arguments):
    """What makes --help instant: none of the slow libraries is imported."""
    code = (
        "import sys; from ahl.cli import main\n"
        f"try: main({arguments!r})\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'timm', 'sklearn', 'matplotlib', 'numpy', 'PIL', 'rich'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage:" in out.stdout
    assert "HEAVY []" in out.stdout


def test_every_option_explains_itself():
    for verb in VERBS:
        command = main.commands[verb]
        assert command.help
        for parameter in command.params:
            if parameter.param_type_name == "option" and parameter.name not in ("seed", "version"):
                assert parameter.help, (verb, parameter.name)


def test_version():
    assert re.search(r"\d+\.\d+\.\d+", run("--version").output)


def test_train_says_what_it_did(inspection_folder, tmp_path):
    folder = tmp_path / "data"
    for name, count in (("good", 8), ("dot", 2)):
        write_class(folder / name, name, count)
    (folder / "good" / "bad.png").write_text("no image")
    result = run("train", folder, "-o", tmp_path / "m.ahl", "--json", *train_options(tmp_path))
    summary = json.loads(result.stdout)
    assert summary["images"] == {"dot": 2, "good": 8}
    assert [one["path"] for one in summary["skipped"]] == ["good/bad.png"]
    assert summary["epochs"] == 2
    assert (tmp_path / "m.ahl").exists()
    people = run("train", folder, "-o", tmp_path / "n.ahl", *train_options(tmp_path))
    assert "Next: ahl predict" in people.stdout
    assert (tmp_path / "m.ahl").read_bytes() == (tmp_path / "n.ahl").read_bytes()
    run("train", folder, "-o", tmp_path / "o.ahl", "--strict", *train_options(tmp_path), code=1)
    assert not (tmp_path / "o.ahl").exists()


def test_profile_says_where_the_time_went(inspection_folder, tmp_path):
    options = ["--profile", *train_options(tmp_path)[:-2], "--no-cache"]
    shown = run("train", inspection_folder, "-o", tmp_path / "m.ahl", "--json", *options)
    profile = json.loads(shown.stdout)["profile"]
    told = {"reading files", "images > decoding", "images > backbone", "AHL epochs", "calibration"}
    assert told < set(profile)
    assert profile["episodes and memory > pseudo anomalies > backbone"] > 0
    tops = [v for k, v in profile.items() if " > " not in k and k != "total"]
    assert sum(tops) == pytest.approx(profile["total"], abs=0.05)
    people = run("train", inspection_folder, "-o", tmp_path / "n.ahl", *options)
    assert "where the time went" in people.stdout
    assert (tmp_path / "m.ahl").read_bytes() == (tmp_path / "n.ahl").read_bytes()


def test_a_threshold_is_kept_in_the_model_and_changes_no_score(model, inspection_folder, tmp_path):
    write_class(tmp_path / "new", "good", 24, first=80)
    (tmp_path / "new" / "bad.png").write_text("no image")
    images = [tmp_path / "new", inspection_folder / "good"]
    decided = tmp_path / "decided.ahl"
    options = ("--max-false-alarm-rate", 0.1, "-o", decided)
    told = json.loads(run("threshold", model, *images, *options, "--json").stdout)
    assert (told["normals"], told["skipped"], told["held_out"]) == (24, 1, False)
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
        assert re.search(rf"{one['score']:.4f}  {re.escape(word)} +{re.escape(one['path'])}", shown)
    assert "threshold" in run("info", decided).stdout
    people = run("threshold", decided, *images, "--max-false-alarm-rate", 0.2)
    assert "from 24 good images not trained on" in people.stdout
    assert "Next: ahl predict" in people.stdout


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


def test_what_cannot_be_measured_is_said(model, tmp_path):
    write_class(tmp_path / "data" / "good", "good", 2, first=300)
    assert "No anomalies are left to test" in run("evaluate", model, tmp_path / "data").stdout
    for path in (tmp_path / "data" / "good").iterdir():
        path.write_text("no image")
    assert "can be read" in run("evaluate", model, tmp_path / "data", code=1).stderr
    result = run("evaluate", model, tmp_path / "data", "--picture", tmp_path / "a.jpg", code=2)
    assert "a.png" in result.stderr


@pytest.mark.parametrize("verb", ["threshold", "adapt"])
def test_labelled_folders_are_not_taken_for_good_images(verb, model, inspection_folder, tmp_path):
    result = run(verb, model, inspection_folder, "-o", tmp_path / "m.ahl", code=1)
    assert f"give {inspection_folder / 'good'}" in result.stderr
    assert not (tmp_path / "m.ahl").exists()


def test_a_picture_that_is_good_and_defective_is_refused(inspection_folder, tmp_path):
    shutil.copytree(inspection_folder, tmp_path / "data")
    one = next((tmp_path / "data" / "dot").iterdir())
    shutil.copy(one, tmp_path / "data" / "good" / "copy.png")
    output = ("-o", tmp_path / "m.ahl", *train_options(tmp_path))
    result = run("train", tmp_path / "data", *output, code=1)
    assert "good/copy.png (good) and dot/" in result.stderr


def test_waiting_threads_sleep_unless_the_user_says_otherwise(monkeypatch):
    for given, expected in (
        ({}, "3000"),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "active"}, None),
    ):
        for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
            monkeypatch.delenv(name, raising=False)
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        run("info", "--help")
        assert os.environ.get("GOMP_SPINCOUNT") == expected


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
    assert told["left_out_anomalies"] > 0
    assert "left out by turns in training" in run("threshold", model, *options).stdout


def test_predict_gives_one_json_object_a_line(model, inspection_folder, tmp_path):
    write_class(tmp_path / "new", "dot", 3, first=50)
    bad = tmp_path / "new" / "bad.png"
    bad.write_text("no image")
    paths = [tmp_path / "new", inspection_folder / "good" / "00*.png", tmp_path / "gone.png"]
    result = run("predict", model, *paths, "--json", code=3)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(lines) == 4 + 10 + 1
    by_path = {line["path"]: line for line in lines}
    assert set(by_path[str(bad)]) == {"path", "error"}
    assert set(by_path[str(tmp_path / "gone.png")]) == {"path", "error"}
    good = by_path[str(inspection_folder / "good" / "000.png")]
    assert set(good) == {"path", "score", "heads", "evidence"}
    assert set(good["heads"]) == {"holistic", "seen", "pseudo", "residual"}
    assert set(good["evidence"]) == {*good["heads"], "memory"}
    assert good["score"] == pytest.approx(sum(good["evidence"].values()), abs=1e-4)


def test_predict_says_why_and_where(model, inspection_folder, tmp_path):
    images = sorted((inspection_folder / "dot").iterdir())[:2]
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    folder = tmp_path / "maps"
    options = ("--why", "--heat-maps", folder, "--json")
    lines = run("predict", model, *images, bad, *options, code=3).stdout.splitlines()
    told = [json.loads(line) for line in lines]
    assert len(list(folder.iterdir())) == 2
    for one, image in zip(told, images, strict=False):
        with Image.open(one["heat_map"]) as drawn, Image.open(image) as given:
            assert drawn.size == given.size
        assert image.parent.name in one["heat_map"]
        values = [value for _, value in one["why"]]
        assert values == sorted(values, reverse=True)
        assert set(values) <= set(one["evidence"].values())
    shown = run("predict", model, images[0], "--why").stdout
    assert (told[0]["why"][0][0] if told[0]["why"] else "nothing speaks") in shown
    arrays = ("--heat-maps", tmp_path / "arrays", "--heat-map-format", "npy", "--json")
    one = json.loads(run("predict", model, images[0], *arrays).stdout)
    heat = np.load(one["heat_map"], allow_pickle=False)
    assert heat.shape == (64, 64)
    assert heat.dtype == np.float32


def test_predict_exit_status(model, inspection_folder, tmp_path):
    run("predict", model, inspection_folder / "good", code=0)
    run("predict", model, tmp_path / "none*.png", code=2)
    run("predict", model, code=2)
    run("predict", tmp_path / "missing.ahl", "x.png", code=2)
    (tmp_path / "cut.ahl").write_bytes(model.read_bytes()[:1000])
    result = run("predict", tmp_path / "cut.ahl", inspection_folder, code=1)
    assert "truncated" in result.output


def test_evaluate_reports_the_protocols_figures(model, inspection_folder, tmp_path):
    root = tmp_path / "test"
    for name, count in (("good", 6), ("dot", 4), ("frame", 4)):
        write_class(root / name, name, count, first=60)
    picture = tmp_path / "p.png"
    result = run("evaluate", model, root, "--json", "--picture", picture)
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
    assert picture.read_bytes().startswith(b"\x89PNG")
    people = run("evaluate", model, root).stdout
    assert "AUROC" in people
    assert "frame" in people
    run("evaluate", model, inspection_folder, code=1)


def test_info_shows_what_a_model_holds(model):
    values = json.loads(run("info", model, "--json").stdout)
    assert values["base"] == "dra"
    assert len(values["manifest"]["files"]) == 30
    assert values["backbone"]["kind"] == "embedded"
    people = run("info", model, "--files").stdout
    assert "good/000.png" in people
    assert "embedded" in people


def test_a_benchmark_run(benchmark_folder, tmp_path):
    model = tmp_path / "hard.ahl"
    draw = ("--setting", "hard", "--known-class", "dot", "--anomalies", 3, "--seed", 2)
    run("train", benchmark_folder, "-o", model, *draw, *train_options(tmp_path))
    values = json.loads(run("evaluate", model, benchmark_folder, "--json").stdout)
    assert set(values["classes"]) == {"good", "bar", "frame"}
    assert values["left_out"] == 3
    assert values["auroc_seen"] is None


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--image-size", "7"], 2, "image_size"),
        (["--known-class", "dot"], 2, "known"),
        (["--setting", "hard"], 2, "--anomalies M"),
        (["--setting", "hard", "--anomalies", "2"], 2, "known"),
        (["--anomalies", "0"], 2, "anomalies"),
        (["--anomalies", "100"], 1, "6"),
        (["--backbone-arg", "x"], 2, "KEY=VALUE"),
        (["--stages", "a"], 2, "stages"),
        (["--backbone", "no_such_net"], 2, "no_such_net"),
        (["--cache", "x", "--no-cache"], 2, "not both"),
        (["--weights", "missing.safetensors", "--backbone", "resnet18"], 1, "missing.safetensors"),
    ],
)
def test_mistakes_get_one_clear_line(inspection_folder, tmp_path, arguments, code, says):
    result = run("train", inspection_folder, "-o", tmp_path / "m.ahl", *arguments, code=code)
    assert says in result.output
    assert not (tmp_path / "m.ahl").exists()


@pytest.mark.parametrize("content", ["nothing", "empty", "no good", "no anomalies"])
def test_folders_that_cannot_serve(tmp_path, content):
    data = tmp_path / "data"
    if content != "nothing":
        data.mkdir()
    if content == "no good":
        write_class(data / "ok", "good", 3)
    if content == "no anomalies":
        write_class(data / "good", "good", 3)
    result = run("train", data, "-o", tmp_path / "m.ahl", code=1)
    assert result.output.startswith("ahl: ")
    assert len(result.output.strip().splitlines()) <= 3


def test_a_pipe_closed_early_is_no_traceback(model, inspection_folder):
    process = subprocess.Popen(
        [sys.executable, "-m", "ahl", "predict", str(model), str(inspection_folder), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.readline()
    process.stdout.close()
    assert b"Traceback" not in process.stderr.read()
    process.wait()
    process.stderr.close()


def test_a_cache_that_cannot_be_made_is_one_clear_line(inspection_folder, tmp_path):
    (tmp_path / "file").write_text("no folder")
    result = run(
        *("train", inspection_folder, "-o", tmp_path / "m.ahl", "--backbone", "embedded"),
        *("--image-size", 64, "--cache", tmp_path / "file" / "cache"),
        code=1,
    )
    assert "file" in result.output.strip().splitlines()[-1]


def test_advice_after_training_can_be_followed(inspection_folder, tmp_path):
    """Where every labelled image trains, nothing of the folder is left to evaluate."""
    options = train_options(tmp_path)
    result = run("train", inspection_folder, "-o", tmp_path / "a.ahl", *options)
    assert "LABELLED_FOLDER" in result.output
    result = run("train", inspection_folder, "-o", tmp_path / "b.ahl", "--anomalies", 1, *options)
    assert f"{tmp_path / 'b.ahl'} {inspection_folder}" in result.output.replace("\n", " ")
    run("evaluate", tmp_path / "b.ahl", inspection_folder)


def test_a_new_class_alone_is_called_unseen_and_not_normal(model, inspection_folder, tmp_path):
    shutil.copytree(inspection_folder, tmp_path / "all")
    write_class(tmp_path / "all" / "frame", "frame", 2)
    result = run("evaluate", model, tmp_path / "all")
    (line,) = [line for line in result.output.splitlines() if "│ frame" in line]
    assert "unseen" in line


def test_advice_names_the_command_so_that_it_is_found(monkeypatch, tmp_path):
    command = tmp_path / "bin" / "ahl"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(command)])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert own_name() == str(command)
    monkeypatch.setenv("PATH", str(command.parent))
    assert own_name() == "ahl"
