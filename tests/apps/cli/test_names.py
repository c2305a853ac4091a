"""Names that are no text, on terminals that know few letters: every verb goes on."""

import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from ahl.apps.cli import main
from commands import run, train_options
from small_images import write_class

KIND = os.fsdecode(b"Kratzer\xe4")
NAMES = [os.fsdecode(b"caf\xe9.png"), "漢字.png", "[bold]a\x1b[31m\nx.png"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A dataset and a model trained on some of it, all with such names."""
    folder = tmp_path_factory.mktemp("names")
    try:
        for name, count in (("good", 24), ("bar", 6), ("dot", 6)):
            for path, new in zip(
                write_class(folder / "parts" / name, name, count), NAMES, strict=False
            ):
                path.rename(path.with_name(new))
        (folder / "parts" / "bar").rename(folder / "parts" / KIND)
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    options = train_options(folder)
    run("train", folder / "parts", "-o", folder / "m.ahl", "--anomalies", 4, "--json", *options)
    run("threshold", folder / "m.ahl", "--max-false-alarm-rate", 0.2)
    return folder


VERBS = {
    "train": "train DATA -o OUT/m.ahl --log OUT/l.jsonl TRAIN",
    "info": "info MODEL",
    "threshold": "threshold MODEL --good DATA/good --max-false-alarm-rate 0.3 -o OUT/m.ahl",
    "evaluate": "evaluate MODEL DATA",
    "report": "report MODEL DATA -o OUT/r.html",
    "predict": "predict MODEL DATA --why",
    "heat maps": "predict MODEL DATA --heat-maps OUT/maps",
    "adapt": "adapt MODEL DATA/good --epochs 1 -o OUT/m.ahl",
    "update": "update MODEL --missed DATA/KIND --force -o OUT/m.ahl",
    "arrange": "datasets arrange DATA -o OUT/arranged",
    "watch": "watch MODEL OUT/in --ok OUT/ok --reject OUT/no --once --settle 0 --recursive",
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("charset", ["cp1252", "utf-8"])
def test_a_verb_prints_such_names(verb, charset, data, tmp_path):
    if verb == "watch":
        shutil.copytree(data / "parts", tmp_path / "in")
    places = {"DATA": data / "parts", "OUT": tmp_path, "MODEL": data / "m.ahl"}
    words = []
    for word in VERBS[verb].split():
        first, _, rest = word.partition("/")
        words += [str(places.get(first, first)) + (f"/{rest}" if rest else "")]
    words = [word.replace("/KIND", f"/{KIND}") for word in words]
    if words[-1] == "TRAIN":
        words[-1:] = map(str, train_options(data))
    result = CliRunner(charset=charset).invoke(main, words)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    if verb == "heat maps":
        assert len(list((tmp_path / "maps").glob("*.png"))) == 36


def test_json_has_the_name_itself(data):
    lines = run("predict", data / "m.ahl", data / "parts" / KIND, "--json").stdout.splitlines()
    paths = [json.loads(line)["path"] for line in lines]
    assert {Path(path).name for path in paths} >= set(NAMES)
