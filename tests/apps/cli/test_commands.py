"""The command, as people and scripts use it."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from ahl.apps.cli import main
from ahl.apps.cli.common import own_name
from commands import run, small_backbone, train_options
from small_images import write_class

VERBS = ("train", "predict", "evaluate", "info", "demo")


def test_help_loads_nothing_heavy():
    """What makes --help instant: none of the slow libraries is imported."""
    code = (
        "import sys; from ahl.apps.cli import main\n"
        "heavy = {'torch', 'timm', 'sklearn', 'matplotlib', 'numpy', 'PIL', 'rich'}\n"
        f"for verb in ([], *([verb] for verb in {VERBS!r})):\n"
        "    try: main([*verb, '--help'])\n"
        "    except SystemExit: pass\n"
        "    print('HEAVY', sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.count("Usage:") == out.stdout.count("HEAVY []") == 1 + len(VERBS)


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
    told = {"reading files", "images > decoding", "images > backbone", "epochs", "calibration"}
    assert told < set(profile)
    assert profile["pseudo anomalies > backbone"] > 0
    tops = [v for k, v in profile.items() if " > " not in k and k != "total"]
    assert sum(tops) == pytest.approx(profile["total"], abs=0.05)
    people = run("train", inspection_folder, "-o", tmp_path / "n.ahl", *options)
    assert "where the time went" in people.stdout
    assert (tmp_path / "m.ahl").read_bytes() == (tmp_path / "n.ahl").read_bytes()


def test_episodes_are_an_option(inspection_folder, tmp_path):
    options = ("-o", tmp_path / "m.ahl", *train_options(tmp_path), "--json")

    def models(*flags):
        shown = run("train", inspection_folder, *options, *flags)
        return len(json.loads(shown.stdout)["importance"])

    assert models() == models("--no-episodes") == 1
    assert models("--episodes") == models("--episodes", "--second-order") > 1
    for flags in ((), ("--preset", "paper", "--no-episodes")):
        result = run("train", inspection_folder, *options, *flags, "--second-order", code=2)
        assert "--second-order needs --episodes" in result.stderr


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


@pytest.mark.parametrize("given", [None, "0"])
def test_torch_takes_large_pages_unless_the_user_says_otherwise(given, monkeypatch):
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "")  # so that it is as it was after the test
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE")
    if given is not None:
        monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", given)
    run("info", "--help")
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == (given or "1")


def test_info_shows_what_a_model_holds(model):
    values = json.loads(run("info", model, "--json").stdout)
    assert values["base"] == "dra"
    assert len(values["manifest"]["files"]) == 30
    assert values["backbone"]["kind"] == "timm"
    people = run("info", model, "--files").stdout
    assert "good/000.png" in people
    assert "resnet18" in people


def test_a_benchmark_run(benchmark_folder, tmp_path):
    model = tmp_path / "hard.ahl"
    draw = ("--setting", "hard", "--known-class", "dot", "--anomalies", 3, "--seed", 2)
    run("train", benchmark_folder, "-o", model, *draw, *train_options(tmp_path))
    values = json.loads(run("evaluate", model, benchmark_folder, "--json").stdout)
    assert set(values["classes"]) == {"good", "bar", "frame"}
    assert values["left_out"] == 3
    assert values["auroc_seen"] is None


def test_train_tells_of_defects_smaller_than_a_cell_and_tiles_see_them(tmp_path):
    random = np.random.default_rng(0)
    for kind, count in (("good", 8), ("dot", 2)):
        (tmp_path / "data" / kind).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(100, 140, (128, 256), dtype=np.uint8)
            mask = np.zeros((128, 256), np.uint8)
            if kind == "dot":
                at = slice(40, 49), slice(100 + number, 109 + number)
                pixels[at], mask[at] = 255, 255
                (tmp_path / "data" / "ground_truth" / "dot").mkdir(parents=True, exist_ok=True)
                Image.fromarray(mask).save(
                    tmp_path / "data" / "ground_truth" / "dot" / f"{number}_mask.png"
                )
            Image.fromarray(pixels).save(tmp_path / "data" / kind / f"{number}.png")
    options = (*small_backbone(tmp_path), "--epochs", 1, "--cache", tmp_path / "cache")
    train = ("train", tmp_path / "data", "-o", tmp_path / "m.ahl", *options)
    whole = run(*train, "--image-size", "64x128").stderr
    assert (
        "Of 2 training defects with masks, 2 may be missed, because they are smaller"
    ) in spaced(whole)
    assert "--tiles sees images larger, part by part" in spaced(whole)
    assert "smaller than one cell" not in spaced(run(*train, "--image-size", "512x1024").stderr)
    run(*train, "--tiles", "128")
    assert (
        json.loads(run("info", tmp_path / "m.ahl", "--json").stdout)["config"]["features"]["tiles"]
        == 128
    )


def spaced(text):
    return " ".join(text.split())


def test_train_tells_the_size_that_it_chose(tmp_path):
    for name, count in (("good", 4), ("dot", 1)):
        write_class(tmp_path / "parts" / name, name, count)
    options = [*train_options(tmp_path), "--image-size", "auto", "--heads", "devnet"]
    people = run("train", tmp_path / "parts", "-o", tmp_path / "m.ahl", *options)
    assert "Images are resized to 224 x 224 px" in " ".join(people.stderr.split())
    assert "224 x 224 px" in run("info", tmp_path / "m.ahl").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--image-size", "7"], 2, "image_size"),
        (["--image-size", "wide"], 2, "HxW"),
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


def test_a_cache_that_cannot_be_made_is_one_clear_line(inspection_folder, tmp_path):
    (tmp_path / "file").write_text("no folder")
    result = run(
        *("train", inspection_folder, "-o", tmp_path / "m.ahl", *small_backbone(tmp_path)),
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
