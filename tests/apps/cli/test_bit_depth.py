"""12 bits in files of 16: noticed by every verb, and obeyed by all if the model was told."""

import logging

import numpy as np
import pytest
import torch
from PIL import Image

from ahl.apps.serve.bodies import Upload
from ahl.model.trained import TrainedModel
from commands import run, train_options
from small_images import small_image

ASKED = "Are these 12 bits?"


def write(folder, name, count, *, first=0, bits=12):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        grey = (5 * small_image(name, number).mean(axis=2) - 500).clip(0, 255)
        Image.fromarray((grey * 2 ** (bits - 8)).astype(np.uint16)).save(
            folder / f"{number:03d}.png"
        )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bits")
    for name, count in (("good", 24), ("dot", 4)):
        write(folder / "parts" / name, name, count)
        write(folder / "new" / name, name, 12, first=50)
    return folder


def trained(data, name, *options):
    model = data / name
    return model, run("train", data / "parts", "-o", model, *train_options(data), *options)


@pytest.fixture(scope="module")
def told(data):
    return trained(data, "told.ahl", "--bit-depth", 12)


@pytest.fixture(scope="module")
def untold(data):
    return trained(data, "untold.ahl")


VERBS = {
    "evaluate": "evaluate MODEL DATA/new",
    "report": "report MODEL DATA/new -o OUT/r.html",
    "predict": "predict MODEL DATA/new",
    "threshold": "threshold MODEL DATA/new/good -o OUT/m.ahl --max-false-alarm-rate 0.2",
    "adapt": "adapt MODEL DATA/new/good -o OUT/m.ahl --epochs 1",
    "update": "update MODEL --missed DATA/new/dot -o OUT/m.ahl --force",
    "predict --output": "predict MODEL DATA/new --output OUT/scores --shard-size 8",
    "export": "export MODEL --data DATA/new -o OUT/m.onnx",
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_asks_unless_the_model_was_told(verb, data, told, untold, tmp_path):
    for model, asked in ((untold[0], True), (told[0], False)):
        line = VERBS[verb].replace("MODEL", str(model)).replace("DATA", str(data))
        result = run(*line.replace("OUT", str(tmp_path / model.stem)).split())
        assert (ASKED in result.stderr) is asked
        assert result.stderr.count(ASKED) <= 1


def test_a_resumed_run_asks_too(data, untold, tmp_path):
    command = ("predict", untold[0], data / "new", "--output", tmp_path / "scores")
    assert run(*command).stderr.count(ASKED) == run(*command).stderr.count(ASKED) == 1


def test_a_watch_asks_once(data, told, untold, tmp_path):
    """Of the first images, though they come one after the other."""
    for number, ((model, _), asked) in enumerate(((untold, 1), (told, 0))):
        decided, folder = tmp_path / f"{number}.ahl", tmp_path / str(number)
        run("threshold", model, "--max-false-alarm-rate", "0.3", "-o", decided)
        write(folder / "in", "good", 20, first=80)
        goals = ("--ok", folder / "ok", "--reject", folder / "reject")
        result = run("watch", decided, folder / "in", *goals, "--once", "--settle", 0)
        assert result.stderr.count(ASKED) == asked


def test_what_looks_before_training_asks(data, tmp_path):
    parts, options = data / "parts", (*train_options(data), "--quick")
    options = [one for one in options if one not in ("--epochs", 2)]
    assert ASKED in run("advise", parts, *options).stderr
    assert ASKED not in run("advise", parts, *options, "--bit-depth", 12).stderr
    line = ("benchmark", "run", "--dataset", f"x={parts}", "--method", "logistic", "--seeds", 1)
    line = (*line, "--anomalies", 2, "--as-published", *options[:-1])
    assert "x: The 16-bit images" in run(*line, "--output", tmp_path / "dark").stderr
    assert ASKED not in run(*line, "--output", tmp_path / "x", "--bit-depth", 12).stderr


def test_training_asks_and_keeps_what_it_was_told(data, told, untold, tmp_path):
    """The model has what files of 16 bits in truth would give it, and the cache knows both."""
    assert ASKED in untold[1].stderr
    assert ASKED not in told[1].stderr
    for name, count in (("good", 24), ("dot", 4)):
        write(tmp_path / "wide" / name, name, count, bits=16)
    run("train", tmp_path / "wide", "-o", tmp_path / "w.ahl", *train_options(data))
    of_12, wide, dark = map(TrainedModel.load, (told[0], tmp_path / "w.ahl", untold[0]))
    assert of_12.config.features.bit_depth == 12
    assert torch.equal(of_12.thumbnails, wide.thumbnails)
    normals = of_12.exemplars.of_role("normal", "anomaly")
    pictures = [one.exemplars.pictures[normals] for one in (of_12, wide, dark)]
    assert torch.equal(pictures[0], pictures[1])
    assert not torch.equal(pictures[0], pictures[2])


def test_a_service_asks_once(data, told, untold, caplog):
    from ahl.apps.serve.passes import Decoder, ModelPass
    from ahl.apps.serve.settings import Settings
    from ahl.apps.serve.worker import Wishes, Worker

    image = next((data / "new" / "dot").iterdir()).read_bytes()
    for (model, _), asked in ((untold, 1), (told, 0)):
        decoder = Decoder(max_pixels=10**6, seconds=30.0, memory=2**30)
        worker = Worker([ModelPass(Settings(model=model), 0)], decoders=[decoder], batch=1)
        with caplog.at_level(logging.WARNING, logger="ahl.apps.serve"):
            for _ in range(3):
                worker.submit(Upload(name="a.png", data=image), Wishes()).answer.result()
        worker.stop()
        assert sum(ASKED in record.getMessage() for record in caplog.records) == asked
        caplog.clear()
