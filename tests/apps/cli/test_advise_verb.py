"""`ahl advise`."""

import json

from commands import run, small_backbone
from small_images import write_class
from tiny import tiny_config

OPTIONS = ("--image-size", 48, "--quick")


def test_advice_for_people_and_for_machines(inspection_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("ahl.config.preset", lambda name, image_size, tiles: tiny_config(epochs=1))
    options = (*small_backbone(tmp_path), *OPTIONS, "--cache", tmp_path)
    told = json.loads(run("advise", inspection_folder, *options, "--json").stdout)
    assert told["images"] == {"bar": 3, "dot": 3, "good": 24}
    assert told["labels"]["verdict"] in ("yes", "no", "cannot tell")
    titles = [section["title"] for section in told["sections"]]
    shown = run("advise", inspection_folder, *options).stdout
    assert "Do the labels help?" in titles
    assert all(title in shown for title in titles)
    assert told["sections"][2]["lines"][0] in shown


def test_mistakes_are_one_clear_line(tmp_path):
    assert "There is no folder" in run("advise", tmp_path / "none", *OPTIONS, code=1).stderr
    write_class(tmp_path / "ok", "good", 2)
    result = run("advise", tmp_path, *OPTIONS, code=1)
    assert "rename it to good" in result.stderr
    both = ("--cache", tmp_path, "--no-cache")
    assert "not both" in run("advise", tmp_path, *both, code=2).stderr
