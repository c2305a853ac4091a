"""`ahl watch`, with a real model."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from ahl.scoring.sheet import SHORT
from commands import run
from small_images import write_class

FOLDERS = ("ok", "reject", "uncertain")


@pytest.fixture(scope="module")
def decided(model, tmp_path_factory):
    """The model with a threshold."""
    folder = tmp_path_factory.mktemp("decided")
    normals = write_class(folder / "new", "good", 24, first=80)
    options = ("--max-false-alarm-rate", 0.2, "-o", folder / "m.ahl", "--json")
    run("threshold", model, *normals, *options)
    return folder / "m.ahl"


def incoming(folder):
    """Images of both kinds, by name; each of them is unique."""
    for name in ("good", "dot"):
        for path in write_class(folder / name, name, 8, first=40):
            path.rename(folder / f"{name}{path.name}")
        (folder / name).rmdir()
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def options(root):
    given = [word for name in FOLDERS for word in (f"--{name}", root / name)]
    return [*given, "--log", root / "log.jsonl", "--threads", 1]


def moved(root):
    return {
        path.name: path.read_bytes()
        for name in FOLDERS
        for path in root.joinpath(name).rglob("*.*")
    }


def logged(root):
    return [json.loads(line) for line in (root / "log.jsonl").read_text("ascii").splitlines()]


def test_images_go_by_their_verdict(decided, tmp_path):
    images = incoming(tmp_path / "in")
    predicted = run("predict", decided, tmp_path / "in", "--json").stdout.splitlines()
    expected = {one["path"]: one for one in map(json.loads, predicted)}
    (tmp_path / "in" / "half.png").write_bytes(images["dot040.png"][:200])
    given = (*options(tmp_path), "--once", "--settle", 0, "--patience", 0)
    result = run("watch", decided, tmp_path / "in", *given, code=3)
    assert moved(tmp_path).pop("half.png")
    assert {**moved(tmp_path), "half.png": b""} == {**images, "half.png": b""}
    lines = logged(tmp_path)
    assert len(lines) == len(images) + 1
    folders = {"normal": "ok", "anomalous": "reject", "uncertain": "uncertain"}
    for line in lines:
        if line["path"].endswith("half.png"):
            assert line["moved_to"] == str(tmp_path / "reject" / "unreadable" / "half.png")
            continue
        one = expected[line["path"]]
        assert (line["score"], line["verdict"]) == (one["score"], one["verdict"])
        assert line["probability"] == pytest.approx(one["probability"], abs=1e-6)
        assert Path(line["moved_to"]).parent.name == folders[one["verdict"]]
    assert len({one["verdict"] for one in expected.values()}) > 1
    assert "1 unreadable" in result.stderr
    assert f"{tmp_path / 'in' / 'dot040.png'} -> " in result.stdout
    assert "why" not in lines[0]
    again = run("watch", decided, tmp_path / "in", *given, "--json")
    assert again.stdout == ""
    assert "Moved: nothing." in again.stderr


def test_watch_says_why_and_draws_where(decided, tmp_path):
    """Pictures within the watched folder are no arrivals, and named as the images are now."""
    images = incoming(tmp_path / "in")
    maps = tmp_path / "in" / "maps"
    given = (*options(tmp_path), "--once", "--settle", 0, "--recursive", "--why")
    result = run("watch", decided, tmp_path / "in", *given, "--heat-maps", maps)
    assert set(moved(tmp_path)) == set(images)
    lines = logged(tmp_path)
    assert len(lines) == len(images)
    for line in lines:
        first = (
            f"Above all it is {line['why'][0][0]}"
            if line["why"]
            else "Nothing about it looks anomalous"
        )
        assert line["why_in_words"].startswith(first)
        assert "The good image most like it is good/" in line["why_in_words"]
        goal = Path(line["moved_to"])
        with Image.open(maps / f"{goal.parent.name}__{goal.name}.png") as drawn:
            assert drawn.width > 2 * SHORT
    assert len(list(maps.glob("*.png"))) == len(images)
    assert "Above all it is" in " ".join(result.stdout.split())


def test_mistakes_are_one_clear_line(model, decided, tmp_path):
    incoming(tmp_path / "in")
    result = run("watch", model, tmp_path / "in", *options(tmp_path), "--once", code=1)
    assert "ahl threshold" in result.stderr
    same = ("--ok", tmp_path / "in", "--reject", tmp_path / "reject")
    assert "itself" in run("watch", decided, tmp_path / "in", *same, code=2).stderr
    from filelock import FileLock

    with FileLock(tmp_path / "in" / ".ahl-watch" / "lock"):
        result = run("watch", decided, tmp_path / "in", *options(tmp_path), "--once", code=1)
    assert "Another `ahl watch` is running" in result.stderr
    (tmp_path / "log.jsonl").write_text("mine\n")
    result = run("watch", decided, tmp_path / "in", *options(tmp_path), "--once", code=2)
    assert "not a log of ahl watch" in result.stderr
    assert not moved(tmp_path)


def wait_for(condition, process):
    end = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


@pytest.mark.skipif(os.name == "nt", reason="there is no kill -9")
def test_it_is_killed_and_started_again_and_stopped_while_somebody_writes(decided, tmp_path):
    images, root = incoming(tmp_path / "in"), tmp_path
    words = ["watch", decided, root / "in", *options(root), "--settle", 0.3, "--poll", 0.05]

    def start():
        command = [sys.executable, "-m", "ahl", *map(str, words)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    process = start()
    wait_for(lambda: len(moved(root)) > 3, process)
    process.kill()
    process.communicate()
    slow, content = root / "in" / "slow.png", images["dot041.png"][:-1] + b"!"
    with slow.open("wb") as writer:
        writer.write(content[: len(content) // 2])
        writer.flush()
        process = start()
        wait_for(lambda: len(moved(root)) == len(images), process)
        time.sleep(0.5)  # longer than --settle
        assert slow.exists(), "it is still open"
        writer.write(content[len(content) // 2 :])
    images["slow.png"] = content
    wait_for(lambda: len(logged(root)) == len(images), process)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 0, told
    assert "Moved: " in told
    assert moved(root) == images
    assert not [path for path in (root / "in").iterdir() if path.is_file()]
    assert len({line["path"] for line in logged(root)}) == len(logged(root)) == len(images)
