"""`ahl datasets`, as people and scripts use it."""

import json
import subprocess
import sys

import pytest

import commands
from ahl.benchmark.datasets import READERS
from raw_trees import headct, mvtec, plant


def run(*arguments, code=0):
    return commands.run("datasets", *arguments, code=code)


@pytest.mark.parametrize("arguments", [[], ["list"], ["prepare"]])
def test_help_loads_nothing_heavy(arguments):
    code = (
        "import sys; from ahl.apps.cli import main\n"
        f"try: main({['datasets', *arguments, '--help']!r})\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'timm', 'sklearn', 'matplotlib', 'numpy', 'PIL', 'rich'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage:" in out.stdout
    assert "HEAVY []" in out.stdout


def test_list():
    listed = json.loads(run("list", "--json").stdout)
    assert [one["name"] for one in listed] == [reader.name for reader in READERS]
    assert {one["name"] for one in listed if one["normals_split"] == "own"} == {"mvtec", "mastcam"}
    assert listed[0]["hard_subsets"] == ["carpet", "metal_nut"]
    assert listed[1]["hard_classes"][0] == "broken_end"
    people = run("list").stdout
    for reader in READERS:
        assert reader.name in people
        assert reader.title in people


def test_prepare(tmp_path):
    raw = plant(tmp_path / "raw", {**headct(), "head_ct/head_ct/001.png": b"no image"})
    result = run("prepare", "headct", raw, "--output", tmp_path / "a", "--json")
    values = json.loads(result.stdout)
    assert values["output"] == str(tmp_path / "a")
    assert values["datasets"] == [
        {
            "name": "headct",
            "folder": str(tmp_path / "a"),
            "images": {"train/good": 2, "test/good": 1, "test/defect": 2},
        }
    ]
    (skipped,) = values["skipped"]
    assert skipped["path"] == "head_ct/head_ct/001.png"
    people = run("prepare", "HeadCT", raw, "-o", tmp_path / "b")
    assert "2 train/good, 1 test/good, 2 test/defect" in people.stdout
    assert "1 unreadable image was left out" in people.stdout
    assert f"Next: ahl train {tmp_path / 'b'}" in people.stdout
    assert "skipped head_ct/head_ct/001.png" in people.stderr


def test_prepare_several_subsets(tmp_path):
    raw = plant(tmp_path / "raw", mvtec())
    values = json.loads(run("prepare", "mvtec", raw, "-o", tmp_path / "out", "--json").stdout)
    assert [one["folder"] for one in values["datasets"]] == [
        str(tmp_path / "out" / name) for name in ("bottle", "carpet")
    ]
    assert (tmp_path / "out/carpet/test/hole/test_hole_000.png").is_file()


def test_mistakes(tmp_path):
    raw = plant(tmp_path / "raw", headct())
    output = tmp_path / "out"
    assert "expected one of mvtec" in run("prepare", "mnist", raw, "-o", output, code=2).output
    assert "does not look like ELPV" in run("prepare", "elpv", raw, "-o", output, code=1).output
    assert "There is no folder" in run("prepare", "elpv", "x", "-o", output, code=1).output
    assert "not empty" in run("prepare", "headct", raw, "-o", raw, code=2).output
    run("prepare", "headct", raw, code=2)
    assert not output.exists()
