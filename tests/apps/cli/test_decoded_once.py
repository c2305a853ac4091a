"""Images are decoded once where copies are compared, and a long look shows how far it is."""

import json
import shutil
from collections import Counter
from dataclasses import replace

import pytest

from ahl import AHL, draw_split, open_dataset, with_parts
from ahl.data import pictures
from ahl.data.images import reading, sources
from ahl.model.trained import TrainedModel
from ahl.scoring.torch_scorer import TorchScorer
from commands import run, train_options
from small_images import write_class
from tiny import TinyBackbone, tiny_config


@pytest.fixture
def read(monkeypatch):
    """How often each file of a test was decoded whole."""
    counts, decode = Counter(), reading.read_pixels

    def counted(source, **options):
        path = getattr(source, "source", source)
        counts[str(path)] += 1
        return decode(source, **options)

    for module in (reading, sources, pictures):
        monkeypatch.setattr(module, "read_pixels", counted)
    return counts


def test_evaluation_decodes_each_image_once_and_says_how_far_it_is(model, tmp_path, read):
    for name in ("good", "dot"):
        write_class(tmp_path / "new" / name, name, 12, first=40)
    result = run("evaluate", model, tmp_path / "new")
    assert set(read.values()) == {1}
    assert len(read) == 24
    assert "scoring: 24/24" in result.stderr
    assert "comparing likely copies" in result.stderr


def test_what_evaluate_scored_report_scores_no_more(model, tmp_path, monkeypatch):
    """But for the images that the page shows, whose heat maps and reasons are drawn anew."""
    for name in ("good", "dot"):
        write_class(tmp_path / "new" / name, name, 12, first=40)
    told = json.loads(run("evaluate", model, tmp_path / "new", "--json").stdout)
    scored = []
    compute = TorchScorer.compute

    def counted(scorer, pixels, **wanted):
        scored.append((len(pixels), wanted["nearest"]))
        return compute(scorer, pixels, **wanted)

    monkeypatch.setattr(TorchScorer, "compute", counted)
    page = ("report", model, tmp_path / "new", "-o", tmp_path / "r.html")
    result = run(*page)
    assert "The scores of 24 images are in the cache" in result.stderr
    assert all(nearest for _, nearest in scored)
    assert run("evaluate", model, tmp_path / "new", "--json").stdout == json.dumps(told) + "\n"
    shown = scored.copy()
    by_report = json.loads(run(*page, "--json", "--no-cache").stdout)
    assert scored[len(shown) :] == [(16, False), (8, False), *shown]
    assert by_report.items() >= told.items()


def test_a_threshold_says_how_far_it_is(model, tmp_path):
    write_class(tmp_path / "new", "good", 12, first=40)
    options = ("--max-false-alarm-rate", "0.2", "-o", tmp_path / "m.ahl")
    result = run("threshold", model, tmp_path / "new", *options)
    assert "looking at images: 12/12" in result.stderr
    assert "scoring: 12/12" in result.stderr


def test_in_python_too_a_training_looks_at_no_image_again(benchmark_folder, read, capsys):
    """And one that has changed since is left out, by name: its looks are kept in the model."""
    told, found = with_parts(open_dataset(benchmark_folder))
    assert set(read.values()) == {1}
    split = draw_split(told, anomalies=4)
    detector = AHL(backbone=TinyBackbone(), config=tiny_config(epochs=2), verbose=1)
    model = detector.fit_split(split).model_
    assert "looking at images" not in capsys.readouterr().err
    assert len(found.images) == len(read) == 60
    kept = {one.sample.name: one.thumbnail for one in found.pictures}
    for file, thumbnail in zip(model.manifest.files, model.thumbnails.numpy(), strict=True):
        assert (thumbnail == kept[file.name]).all()
    config = tiny_config(epochs=2)
    config = replace(config, features=replace(config.features, bit_depth=12))
    AHL(backbone=TinyBackbone(), config=config, verbose=1).fit_split(split)
    assert "looking at images" in capsys.readouterr().err, "they were read at another depth"


def test_an_image_that_changed_since_it_was_looked_at_is_left_out(benchmark_folder, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(benchmark_folder, root)
    told, _ = with_parts(open_dataset(root))
    split = draw_split(told, anomalies=4)
    changed = split.normals[3]
    shutil.copy(split.normals[4].path, changed.path)
    detector = AHL(backbone=TinyBackbone(), config=tiny_config(epochs=2)).fit_split(split)
    names = {file.name for file in detector.model_.manifest.files}
    assert names == {one.name for one in (*split.normals, *split.anomalies)} - {changed.name}
    assert len(detector.model_.thumbnails) == len(names)


def test_a_training_of_a_drawn_split_looks_for_copies_once(benchmark_folder, tmp_path):
    result = run("train", benchmark_folder, "-o", tmp_path / "m.ahl", *train_options(tmp_path))
    assert result.stderr.count("looking at images: ") == 1
    assert result.stderr.count("looking at images: 60/60") == 1
    model = TrainedModel.load(tmp_path / "m.ahl")
    assert len(model.thumbnails) == len(model.manifest.files) == 34
