"""`ahl-runtime` in an environment of its own, against `ahl` in the one that runs the tests."""

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click
import httpx2
import numpy as np
import onnx
import pytest
from filelock import FileLock
from light_environment import ROOT, LightEnvironment, NoPackagesError
from PIL import Image
from records import assert_same, records

from ahl.apps.cli import main
from apps.serve.running import running
from commands import run, train_options
from small_images import write_class

LARGEST = 250e6
"""Bytes that the environment may take, the service included."""

CLOSE = 1e-4
"""Largest difference between two runtimes, as at export; one alone repeats itself exactly."""


@dataclass
class Light:
    environment: LightEnvironment
    model: Path
    exported: Path

    def ahl(self, *arguments):
        done = self.environment.run("ahl", *arguments)
        assert "Traceback" not in done.stderr
        return done


@pytest.fixture(scope="module")
def light(tmp_path_factory, inspection_folder):
    """Made once, also where several workers run the tests."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "clean-environment"
    made = Light(LightEnvironment(folder / "light"), folder / "m.ahl", folder / "m.onnx")
    with FileLock(shared / "clean-environment.lock"):
        if not folder.exists():
            folder.mkdir()
            with ThreadPoolExecutor() as beside:
                creation = beside.submit(LightEnvironment.create, folder / "light", "serve")
                export(made, inspection_folder, folder / "cache")
            try:
                creation.result()
            except NoPackagesError as error:
                (folder / "skip").write_text(str(error))
    if (folder / "skip").exists():
        reason = f"no package can be installed here: {(folder / 'skip').read_text()[-500:]}"
        if "AHL_TESTS_MUST_INSTALL" in os.environ:
            pytest.fail(reason)
        pytest.skip(reason)
    return made


def export(made, data, cache):
    run("train", data, "--output", made.model, *train_options(cache))
    run("threshold", made.model, "--max-false-alarm-rate", 0.2)
    run("export", made.model, "--output", made.exported)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "new"
    for name in ("good", "dot", "frame"):
        write_class(folder, name, 2, first=len(name) * 10)
    return folder


def test_what_trains_is_not_there(light):
    names = "torch", "torchvision", "timm", "scipy", "sklearn", "matplotlib", "jinja2", "onnx"
    code = f"from importlib.util import find_spec; print([n for n in {names} if find_spec(n)])"
    assert light.environment.run("python", "-c", code).stdout == "[]\n"
    assert light.ahl("--version").stdout == run("--version").stdout


def test_predict_says_the_same(light, images, tmp_path):
    maps = {name: tmp_path / name for name in ("light", "exported", "model")}
    options = [(images, "--json", "--why", "--heat-maps", maps[name]) for name in maps]
    done = light.ahl("predict", light.exported, *options[0])
    assert done.returncode == 0, done.stderr
    same = run("predict", light.exported, *options[1])
    own = run("predict", light.model, *options[2], "--device", "cpu")
    found = records(done.stdout)
    assert len(found) == 6
    assert {"score", "probability", "verdict", "why", "nearest_normal"} <= set(found[0])
    assert len({one["verdict"] for one in found}) > 1
    assert done.stderr == same.stderr == own.stderr == ""
    for others, close in ((same, 0.0), (own, CLOSE)):
        for one, other in zip(found, records(others.stdout), strict=True):
            assert ("trained_on" in other) == (others is own), "an exported file does not know"
            other.pop("trained_on", None)
            one["heat_map"] = (
                Path(other["heat_map"]).with_name(Path(one["heat_map"]).name).as_posix()
            )
            assert_same(one, other, close)
    for file in maps["light"].glob("*.png"):
        with Image.open(file) as drawn, Image.open(maps["model"] / file.name) as expected:
            apart = np.asarray(drawn, np.int16) - np.asarray(expected, np.int16)
        assert np.abs(apart).max() <= 2
        assert file.read_bytes() == (maps["exported"] / file.name).read_bytes()


def test_predict_says_the_same_to_people(light, images):
    done = light.ahl("predict", light.exported, images, "--why")
    assert done.stdout == run("predict", light.exported, images, "--why").stdout


def test_a_broken_image_is_skipped_and_told(light, images):
    bad = images / "bad.png"
    bad.write_text("no image")
    done = light.ahl("predict", light.exported, images, "--json")
    own = run("predict", light.model, images, "--json", code=3)
    assert done.returncode == 3
    errors = [
        [one for one in records(text) if "error" in one] for text in (done.stdout, own.stdout)
    ]
    assert errors[0] == errors[1]
    assert [one["path"] for one in errors[0]] == [str(bad)]
    assert len(records(done.stdout)) == 7


def test_wrong_usage_has_the_same_status(light, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    for arguments in ((light.exported, empty), (tmp_path / "gone.onnx", empty), (light.exported,)):
        done = light.ahl("predict", *arguments)
        own = run("predict", *arguments, code=2)
        assert (done.returncode, done.stderr.splitlines()[-1]) == (2, own.stderr.splitlines()[-1])


def test_watch_moves_what_arrives(light, images, tmp_path):
    folders = ("--ok", tmp_path / "ok", "--reject", tmp_path / "reject", "--recursive")
    done = light.ahl("watch", light.exported, images, *folders, "--once", "--settle", 0)
    assert done.returncode == 0, done.stderr
    moved = [path for name in ("ok", "reject") for path in (tmp_path / name).rglob("*.png")]
    assert len(moved) == 6
    assert not list(images.rglob("*.png"))


def test_the_service_says_the_same_and_stops(light, images, tmp_path):
    image = images / "030.png"
    own = {"python": light.environment.bin / "python", "env": light.environment.variables()}
    with running(light.exported, tmp_path / "log", "--threads", "2", **own) as service:
        answer = service.score(image.read_bytes())
        served = httpx2.get(f"{service.address}/v1/model").json()
        assert service.stop() == 0
    assert answer.status_code == 200
    (told,), (expected,) = (
        answer.json()["images"],
        records(run("predict", light.exported, image, "--json").stdout),
    )
    assert {name: told[name] for name in expected if name != "path"} == {
        name: value for name, value in expected.items() if name != "path"
    }
    known = json.loads(run("info", light.exported, "--json").stdout)
    assert served["sha256"] == known["sha256"]


def test_info_says_the_same(light):
    done = light.ahl("info", light.exported, "--json")
    assert json.loads(done.stdout) == json.loads(run("info", light.exported, "--json").stdout)


def test_other_files_are_refused_in_one_line(light, images, tmp_path):
    data = bytearray(light.exported.read_bytes())
    (tmp_path / "truncated.onnx").write_bytes(data[:-1000])
    data[len(data) // 2] ^= 1
    (tmp_path / "altered.onnx").write_bytes(data)
    graph = onnx.helper.make_graph([], "foreign", [], [])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "foreign.onnx")
    (tmp_path / "text.onnx").write_text("a text, and no model")
    (tmp_path / "empty.onnx").touch()
    for file in sorted(tmp_path.glob("*.onnx")):
        for verb in (("predict", file, images), ("info", file)):
            done = light.ahl(*verb)
            assert done.returncode == 1, verb
            assert run(*verb, code=1).stdout == done.stdout == ""
            assert re.fullmatch(rf"ahl: {file} .+\n", done.stderr)


@pytest.mark.parametrize("verb", ["predict", "info"])
def test_a_model_file_is_told_where_it_is_read(light, images, verb):
    done = light.ahl(verb, light.model, *([images] if verb == "predict" else ()))
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"ahl: .+ needs torch .*export it elsewhere.*\n", done.stderr)


def verbs(command, path=()):
    if isinstance(command, click.Group):
        return [
            found
            for name in command.commands
            for found in verbs(command.commands[name], (*path, name))
        ]
    return [" ".join(path)]


WITHOUT_TORCH = (
    *("predict", "info", "watch", "serve"),
    *("datasets list", "datasets prepare", "datasets arrange"),
)

# All verbs in one process: what a verb needs loads when it works.
CALL_ALL = """
import json, sys
from click.testing import CliRunner
from ahl.apps.cli import main
found = {}
for verb, arguments in json.loads(sys.argv[1]).items():
    result = CliRunner().invoke(main, [*verb.split(), *arguments])
    fine = result.exception is None or isinstance(result.exception, SystemExit)
    found[verb] = [result.exit_code, result.output, fine or repr(result.exception)]
print(json.dumps(found))
"""


def test_verbs_that_need_more_say_so_in_one_line(light, inspection_folder, tmp_path):
    model, data, output = str(light.model), str(inspection_folder), str(tmp_path / "output")
    calls = {
        "train": [data, "--output", output],
        "evaluate": [model, data],
        "report": [model, data],
        "threshold": [model],
        "update": [model, "--missed", f"{data}/dot/000.png"],
        "advise": [data],
        "export": [model, "--output", output],
        "adapt": [model, f"{data}/good", "--output", output],
        "demo": ["--output", output],
        "benchmark run": ["--dataset", data, "--output", output],
        "benchmark report": [data],
    }
    assert set(verbs(main)) - set(WITHOUT_TORCH) == set(calls), "each verb is tried"
    done = light.environment.run("python", "-c", CALL_ALL, json.dumps(calls), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for verb, (status, output, fine) in json.loads(done.stdout).items():
        assert fine is True, (verb, fine)
        assert status == 2, (verb, output)
        assert re.fullmatch(r"ahl: This needs [a-z0-9]+, .* pip install ahl, .*\n", output), verb
    assert not list(tmp_path.iterdir()), "nothing is begun"


def test_an_extra_that_is_not_installed_is_named(light, images, tmp_path):
    output = tmp_path / "scores"
    done = light.ahl("predict", light.exported, images, "--output", output)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"ahl: .*pip install.*bulk.*\n", done.stderr)
    assert not output.exists()


def test_what_needs_no_torch_works(light):
    done = light.ahl("datasets", "list", "--json")
    assert done.stdout == run("datasets", "list", "--json").stdout


def test_help_loads_nothing_that_computes(light):
    code = (
        "import sys; from ahl.apps.cli import main; main(['--help'], standalone_mode=False); "
        "sys.exit(str({'numpy', 'PIL', 'onnxruntime', 'rich'} & set(sys.modules)))"
    )
    done = light.environment.run("python", "-c", code)
    assert done.stderr == "set()\n"
    assert set(main.commands) <= set(done.stdout.split())


def test_it_is_small_and_the_page_says_how_small(light):
    size = sum(light.environment.sizes().values())
    assert 50e6 < size <= LARGEST
    stated = re.search(r"`serve` it is (\d+) MB", (ROOT / "docs" / "export.md").read_text())
    assert size == pytest.approx(1e6 * int(stated[1]), rel=0.1)
