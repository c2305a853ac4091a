"""Places that are odd: outputs within the inputs, a home that is read-only, full disks."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ahl._common.files import is_output
from commands import run, train_options
from small_images import write_class


@pytest.fixture
def parts(inspection_folder, tmp_path):
    shutil.copytree(inspection_folder, tmp_path / "parts")
    return tmp_path / "parts"


def test_outputs_inside_inputs_are_no_inputs_of_the_next_run(model, parts, tmp_path):
    """Heat maps, cached features and an arranged copy, found by any way to name the folder."""
    options = list(train_options(tmp_path))
    options[-1] = parts / "cache"
    run("train", parts, "-o", tmp_path / "m.ahl", "--json", *options)
    run("predict", model, parts, "--heat-maps", parts / "maps", "--json")
    run("datasets", "arrange", parts, "-o", parts / "arranged", "--json")
    assert len(list((parts / "maps").glob("*.png"))) == 30
    assert list(parts.glob("cache/*/*.npy"))
    folders = [path for path in parts.iterdir() if path.is_dir()]
    for given in ([parts], [parts / "**" / "*.png"], [parts / "*"], folders):
        result = run("predict", model, *given, "--json")
        assert len(result.stdout.splitlines()) == 30, given
        assert "left out, which ahl wrote itself" in result.stderr
    again = run("train", parts, "-o", tmp_path / "m.ahl", "--json", *options)
    assert json.loads(again.stdout)["images"] == {"bar": 3, "dot": 3, "good": 24}
    assert len(run("predict", model, parts / "arranged", "--json").stdout.splitlines()) == 30
    run("predict", model, parts, "--heat-maps", parts / "maps", "--json")


@pytest.mark.parametrize("where", ["", "deep"])
def test_a_folder_of_images_takes_no_heat_maps(model, tmp_path, where):
    write_class(tmp_path / "maps" / where, "dot", 2)
    options = ("--heat-maps", tmp_path / "maps")
    result = run("predict", model, tmp_path / "maps", *options, code=2)
    assert "holds images; expected a new folder, or one that ahl" in result.stderr
    assert not is_output(tmp_path / "maps")


def test_a_home_that_cannot_be_written_to_keeps_no_features(parts, tmp_path, monkeypatch):
    (tmp_path / "home").write_text("no folder")
    monkeypatch.setenv("AHL_CACHE", str(tmp_path / "home" / "features"))
    options = train_options(tmp_path)[:-2]  # without --cache
    result = run("train", parts, "-o", tmp_path / "m.ahl", *options)
    assert "Nothing is cached beyond this run" in result.stderr
    assert f"{tmp_path / 'home' / 'features'} cannot be written to (Not a directory)" in (
        result.stderr
    )
    options = ("--epochs", 1, "-o", tmp_path / "a.ahl")
    result = run("adapt", tmp_path / "m.ahl", parts / "good", *options)
    assert "choose another folder by --cache FOLDER" in result.stderr


FULL = """
import resource
import sys

limit, *words = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
from ahl.apps.cli import main

main(words)
"""


FULLY = {
    "cache": ("train PARTS -o OUT/m.ahl TRAIN", 4096, "OUT/"),
    "model": ("train PARTS -o OUT/m.ahl TRAIN", 160_000, "OUT/m.ahl"),
    "heat maps": ("predict MODEL PARTS/dot --heat-maps OUT/maps", 100, "OUT/maps/"),
    "arrange": ("datasets arrange PARTS -o OUT/out", 100, "OUT/out"),
}


@pytest.mark.skipif(sys.platform == "win32", reason="there are no limits to set")
@pytest.mark.parametrize("verb", FULLY)
def test_a_full_disk_is_named_by_what_was_being_written(verb, model, parts, tmp_path):
    line, limit, named = FULLY[verb]
    places = {"PARTS": str(parts), "OUT": str(tmp_path), "MODEL": str(model)}
    for word, place in places.items():
        line, named = line.replace(word, place), named.replace(word, place)
    words = line.split()
    if words[-1] == "TRAIN":
        words[-1:] = map(str, train_options(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL), str(limit), *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )
    assert done.returncode == 1, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"ahl: {named}"), done.stderr
    assert ".part" not in last
    assert "File too large" in last or "written" in last


def test_a_full_standard_output_is_named(model, parts):
    device = Path("/dev/full")
    if not device.exists():
        pytest.skip("there is no /dev/full")
    with device.open("w") as full:
        words = ["predict", str(model), str(parts / "dot"), "--json"]
        done = subprocess.run(
            [sys.executable, "-m", "ahl", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "ahl: standard output: No space left on device." in done.stderr
    assert "Traceback" not in done.stderr
