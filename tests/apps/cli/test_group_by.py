"""Photographs of one part, from training to evaluation, by names and by copies."""

import json

import numpy as np
import pytest
from PIL import Image

from commands import run, train_options
from small_images import blotched


def write(folder, numbers, lights=(1.0, 0.7)):
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        for exposure, light in enumerate(lights):
            Image.fromarray(blotched(number, light)).save(
                folder / f"part{number}_exposure{exposure}.png"
            )


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    """Two exposures of each of 16 good parts and 6 defects."""
    root = tmp_path_factory.mktemp("tiles")
    write(root / "good", range(16))
    write(root / "dent", range(50, 56))
    return root


@pytest.fixture(scope="module")
def model(tiles, tmp_path_factory):
    """Four defects drawn, parts told by copies."""
    folder = tmp_path_factory.mktemp("model")
    options = ("--anomalies", 4, "--json", *train_options(folder))
    values = json.loads(run("train", tiles, "-o", folder / "m.ahl", *options).stdout)
    return folder / "m.ahl", values


def test_training_keeps_exposures_together_and_counts_them(model):
    _, values = model
    assert values["images"] == {"dent": 4, "good": 24}
    assert values["copies"] >= 12
    # Of the eight defects that were not drawn, those that show a drawn one's part.
    assert 2 <= values["left_out"] <= 4


def test_evaluation_of_the_rest_tests_new_parts_only(model, tiles):
    path, trained = model
    values = json.loads(run("evaluate", path, tiles, "--json").stdout)
    # The other exposures of drawn defects are in the folder; the normals' are all on one side.
    assert values["trained_parts"] == trained["left_out"] > 0
    assert values["of_new_parts"]["auroc"] is not None
    assert values["classes"]["good"]["count"] == 8
    text = run("evaluate", path, tiles).stdout
    assert "Without parts that were trained on" in text
    assert f"{trained['left_out']} tested images are of parts that the model was trained on" in text


def test_a_threshold_rests_on_parts(model, tmp_path):
    path, _ = model
    write(tmp_path / "new", range(100, 104), lights=(1.0, 0.8, 0.6))
    write(tmp_path / "seen", range(16), lights=(0.5,))
    options = ("--max-false-alarm-rate", 0.2, "-o", tmp_path / "t.ahl")
    given = (path, tmp_path / "new", tmp_path / "seen")
    values = json.loads(run("threshold", *given, *options, "--json").stdout)
    assert (values["normals"], values["same_part"]) == (8, 8)
    assert values["trained_parts"] == 12
    result = run("threshold", *given, *options)
    assert "from 8 good images" in result.stdout
    assert "12 good images were left out: training had other photographs" in result.stderr
    assert "8 good images were not scored: another photograph of the same part was" in result.stderr


def test_names_tell_parts(tmp_path):
    """Textures that no measure of copies tells apart."""
    random = np.random.default_rng(0)
    for kind, count in (("good", 12), ("dent", 4)):
        (tmp_path / "data" / kind).mkdir(parents=True)
        for number in range(count):
            for shot in range(3):
                pixels = random.integers(0, 255, (48, 48), dtype=np.uint8)
                path = tmp_path / "data" / kind / f"part{number}_{shot}.png"
                Image.fromarray(pixels).save(path)
    (tmp_path / "data" / "good" / "alone.png").write_bytes(path.read_bytes()[:-1])
    output = tmp_path / "m.ahl"
    options = ("--anomalies", 2, "--group-by", r"\w+/part\d+", *train_options(tmp_path))
    result = run("train", tmp_path / "data", "-o", output, *options)
    said = " ".join(result.stderr.split())
    assert "The names of 1 of 49 images do not match --group-by" in said
    assert "48 of 49 images share their part with others" in said
    values = json.loads(run("evaluate", output, tmp_path / "data", "--json").stdout)
    assert values["classes"]["good"]["count"] == 10, "three parts and the image alone"
    assert f"{values['trained_parts']} images are left out of the test: training has" in said
    result = run("train", tmp_path / "data", "-o", output, *options[2:])
    said = " ".join(result.stderr.split())
    assert "48 of 49 images share their part with others: photographs of one part stay in" in said
    assert "The names of 1 of 49 images do not match --group-by" in said
    refused = run("train", tmp_path / "data", "-o", output, "--group-by", "(", code=2)
    assert "group_by is '('; expected a regular expression" in refused.output
