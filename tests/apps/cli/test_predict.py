"""`ahl predict`."""

import csv
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ahl.scoring.sheet import SHORT
from commands import run
from small_images import write_class


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
    assert set(good) == {"path", "score", "probability", "heads", "evidence", "trained_on"}
    assert good["trained_on"] is True
    assert by_path[str(tmp_path / "new" / "050.png")]["trained_on"] is False
    assert 0 <= good["probability"] <= 1
    assert set(good["heads"]) == {"holistic", "seen", "pseudo", "residual"}
    assert set(good["evidence"]) == {*good["heads"], "memory"}
    assert good["score"] == pytest.approx(sum(good["evidence"].values()), abs=1e-4)


def test_predict_says_why_and_where(model, inspection_folder, tmp_path):
    images = sorted((inspection_folder / "dot").iterdir())[:2]
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    folder = tmp_path / "maps"
    options = ("--why", "--heat-maps", folder, "--npy", "--json")
    lines = run("predict", model, *images, bad, *options, code=3).stdout.splitlines()
    told = [json.loads(line) for line in lines]
    assert len(list(folder.glob("*.png"))) == len(list(folder.glob("*.npy"))) == 2
    for one, image in zip(told, images, strict=False):
        with Image.open(one["heat_map"]) as drawn, Image.open(image) as given:
            assert drawn.width > 2 * SHORT + 160, "with what is most like it on the right"
            assert np.load(one["heat_map_npy"]).shape == given.size[::-1]
        top, left, bottom, right = one["places"][0]["box"]
        assert 0 <= top < bottom <= 1
        assert 0 <= left < right <= 1
        assert image.parent.name in one["heat_map"]
        values = [value for _, value in one["why"]]
        assert values == sorted(values, reverse=True)
        assert set(values) <= set(one["evidence"].values())
    shown = " ".join(run("predict", model, images[0], "--why").stdout.split())
    assert (told[0]["why"][0][0] if told[0]["why"] else "Nothing about it") in shown
    assert f"looks most like {told[0]['nearest_anomaly']['name']}." in shown
    assert told[0]["nearest_anomaly"]["class"] == "dot"
    assert told[0]["nearest_normal"]["class"] == "good"
    alone = ("--heat-maps", tmp_path / "alone", "--json")
    one = json.loads(run("predict", model, images[0], *alone).stdout)
    with Image.open(one["heat_map"]) as drawn:
        assert drawn.width == 2 * SHORT + 3 * 12
    assert "--heat-maps" in run("predict", model, images[0], "--npy", code=2).output


def test_predict_exit_status(model, inspection_folder, tmp_path):
    run("predict", model, inspection_folder / "good", code=0)
    run("predict", model, tmp_path / "none*.png", code=2)
    run("predict", model, code=2)
    run("predict", tmp_path / "missing.ahl", "x.png", code=2)
    (tmp_path / "cut.ahl").write_bytes(model.read_bytes()[:1000])
    result = run("predict", tmp_path / "cut.ahl", inspection_folder, code=1)
    assert "truncated" in result.output


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


def test_heat_maps_of_images_with_like_paths_stay_apart(model, tmp_path):
    """`a/b.png` and `a__b.png` would have one name, and a deep path one that is too long.

    `A` and `a` have one on a disk that knows no case.
    """
    write_class(tmp_path / "a", "good", 1, first=500)
    one = next((tmp_path / "a").iterdir())
    other = tmp_path / f"a__{one.name}"
    deep = tmp_path / Path(*["long" * 20] * 4) / one.name
    deep.parent.mkdir(parents=True)
    upper = tmp_path / "A" / one.name
    upper.parent.mkdir()
    for copy in (other, deep, upper):
        shutil.copy(one, copy)
    options = ("--heat-maps", tmp_path / "maps", "--json")
    told = [
        json.loads(line)
        for line in run("predict", model, one, other, deep, upper, *options).stdout.splitlines()
    ]
    files = {one["heat_map"].casefold() for one in told}
    assert len(files) == len(list((tmp_path / "maps").glob("*.png"))) == 4


@pytest.mark.parametrize("fate", ["there is no such file", "it changed while it was used"])
def test_an_image_that_is_another_behind_its_score_has_no_heat_map(
    model, tmp_path, monkeypatch, fate
):
    """The evidence of the old bytes is not drawn over the new ones."""
    from ahl.scoring import sheet

    images = write_class(tmp_path / "new", "dot", 3, first=50)
    drawn = sheet.draw_sheet

    def draw(source, *others, **options):
        images[1].unlink(missing_ok=True)
        if "changed" in fate:
            shutil.copy(images[2], images[1])
        drawn(source, *others, **options)

    monkeypatch.setattr(sheet, "draw_sheet", draw)
    options = ("--heat-maps", tmp_path / "maps", "--json")
    result = run("predict", model, tmp_path / "new", *options, code=3)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert ["heat_map" in line for line in lines] == [True, False, True]
    assert all("score" in line for line in lines)
    assert f"No heat map of {images[1]}: {fate}." in result.stderr
    assert len(list((tmp_path / "maps").glob("*.png"))) == 2


@pytest.fixture(scope="module")
def decided(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("decided")
    normals = write_class(folder / "new", "good", 24, first=80)
    run("threshold", model, *normals, "--max-false-alarm-rate", 0.2, "-o", folder / "m.ahl")
    return folder / "m.ahl"


def test_predict_counts_sorts_and_writes_a_table(decided, inspection_folder, tmp_path):
    for name in ("good", "dot"):
        write_class(tmp_path / "new" / name, name, 6, first=400)
    (tmp_path / "new" / "bad.png").write_text("no image")
    trained = inspection_folder / "good" / "000.png"
    paths = (tmp_path / "new", trained)
    table = tmp_path / "deep" / "table.csv"
    options = ("--sort", "score", "--csv", table, "--why", "--heat-maps", tmp_path / "maps")
    told = run("predict", decided, *paths, *options, code=3).stdout
    scores = [float(one) for one in re.findall(r"^ *(-?\d+\.\d{4})  ", told, flags=re.M)]
    assert len(scores) == 13
    assert scores == sorted(scores, reverse=True)
    assert told.count("(trained on)") == 1
    assert "1 image was trained on" in told
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert [float(row["score"]) for row in rows[:-1]] == pytest.approx(scores, abs=1e-4)
    assert rows[-1]["path"].endswith("bad.png")
    assert rows[-1]["error"]
    by_path = {row["path"]: row for row in rows}
    assert by_path[str(trained)]["trained_on"] == "True"
    assert all(Path(row["heat_map"]).is_file() for row in rows[:-1])
    assert 0 <= float(rows[0]["top"]) < float(rows[0]["bottom"]) <= 1
    lines = run("predict", decided, *paths, "--json", "--sort", "path", code=3).stdout.splitlines()
    values = [json.loads(line) for line in lines]
    assert [one["path"] for one in values] == sorted(by_path)
    assert {one["path"]: one.get("verdict") for one in values} == {
        path: row["verdict"] or None for path, row in by_path.items()
    }
    sides = {"uncertain": {True: "anomalous?", False: "normal?"}}
    counts = Counter(
        sides.get(one["verdict"], {}).get(one["anomalous"], one["verdict"])
        for one in values
        if "error" not in one
    )
    (last,) = (line for line in told.splitlines() if line.startswith("14 images: "))
    for name, count in counts.items():
        assert f"{count} {name}," in last
    assert last.endswith("1 could not be read.")


def test_without_a_threshold_predict_counts_likely_ones(model, tmp_path):
    write_class(tmp_path, "dot", 3, first=420)
    told = [
        json.loads(line) for line in run("predict", model, tmp_path, "--json").stdout.splitlines()
    ]
    likely = sum(one["probability"] > 0.5 for one in told)
    shown = run("predict", model, tmp_path).stdout
    assert "3 images: 3 without a verdict." in shown
    assert f"With a probability above 0.5: {likely}." in shown
    assert "trained on" not in shown
    run("predict", model, tmp_path, "--output", tmp_path / "out", "--csv", "t.csv", code=2)
