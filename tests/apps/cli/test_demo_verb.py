"""`ahl demo`, with fewer and smaller images."""

import json
from functools import partial

from ahl.apps.demo.drawing import draw_dataset
from commands import run
from tiny import tiny_config

FEW = {"size": 64, "train_good": 8, "train_per_class": 1, "test_good": 3, "test_per_class": 1}


def test_the_demo_leaves_images_a_model_and_a_report(tmp_path, monkeypatch):
    monkeypatch.setattr("ahl.apps.demo.drawing.draw_dataset", partial(draw_dataset, **FEW))
    monkeypatch.setattr("ahl.pipeline.settings.preset", lambda name: tiny_config(epochs=1))
    output = tmp_path / "demo"
    values = json.loads(run("demo", "-o", output, "--threads", 1, "--json").stdout)
    assert {name: one["count"] for name, one in values["classes"].items()} == {
        "good": 3,
        **dict.fromkeys(("crack", "dent", "hole", "missing_print", "scratch", "stain"), 1),
    }
    assert values["model"] == str(output / "model.ahl")
    assert values["report"] == str(output / "report.html")
    page = (output / "report.html").read_text()
    assert "Drawn front panels" in page
    assert "trained on 8 good parts and 2 defects" in page
    shown = run("demo", "-o", output, "--threads", 1).stdout
    assert f"Open {output / 'report.html'} in a browser" in shown
    assert f"predict {output / 'model.ahl'} {output / 'images' / 'test' / 'crack'}" in shown
