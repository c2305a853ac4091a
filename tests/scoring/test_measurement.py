"""Scores in the cache: used for the same model and images alone, and made anew if damaged."""

import json
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest
from PIL import Image

from ahl import AHL
from ahl._common.callbacks import Callback
from ahl._common.errors import ImageError
from ahl.data import draw_split, open_dataset
from ahl.scoring import measurement
from ahl.scoring.evaluation import evaluate
from ahl.scoring.measurement import FOLDER
from small_images import small_image, write_class
from tiny import TinyBackbone, tiny_config


@pytest.fixture(scope="module")
def trained(benchmark_folder):
    split = draw_split(open_dataset(benchmark_folder), anomalies=4, seed=1)
    return AHL(backbone=TinyBackbone(), config=tiny_config(epochs=2)).fit_split(split)


@pytest.fixture
def root(benchmark_folder, tmp_path):
    """Images with masks of one kind, a damaged one, and a copy of a training image."""
    root = tmp_path / "data"
    shutil.copytree(benchmark_folder, root)
    (root / "test" / "dot" / "bad.png").write_text("no image")
    near = np.clip(small_image("good", 3) + 1.0, 0, 255).astype(np.uint8)
    Image.fromarray(near).save(root / "test" / "bar" / "copy.png")
    for path in sorted((root / "test" / "frame").iterdir()):
        mask = np.zeros((48, 48), dtype=np.bool_)
        mask[10:20, 5:15] = True
        marked = root / "ground_truth" / "frame" / f"{path.stem}_mask.png"
        marked.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(marked)
    return root


class Notes(Callback):
    def __init__(self):
        self.notes = []

    def on_note(self, note):
        self.notes.append(note)


def measured(detector, root, cache, **options):
    """The evaluation, and how many images the backbone saw for it."""
    scorer, before = detector.scorer, TinyBackbone.images_seen
    result = evaluate(scorer, open_dataset(root), cache=cache, **options)
    return result, (TinyBackbone.images_seen - before) // 3  # two scales, and enlarged


def test_the_same_images_are_scored_once(trained, root, tmp_path):
    plain, all_of_them = measured(trained, root, None)
    assert plain.pixels is not None
    assert [one.trained for one in plain.conflicts] == ["train/good/003.png"]
    cache, notes = tmp_path / "cache", Notes()
    first, seen = measured(trained, root, cache)
    assert (seen, len(first.scored)) == (all_of_them, all_of_them)
    again, seen = measured(trained, root, cache, callback=notes)
    assert seen == 0
    assert asdict(first) == asdict(again) == asdict(plain)
    assert notes.notes == [
        f"The scores of {all_of_them + 1} images are in the cache: the model has scored them "
        "before."
    ]
    assert len([*(cache / FOLDER).iterdir()]) == 1


def test_a_threshold_is_no_other_model(trained, root, tmp_path):
    first, _ = measured(trained, root, tmp_path)
    decided = AHL(backbone=TinyBackbone())._fitted(trained.model_)
    decided.threshold(sorted((root / "test" / "good").iterdir()), max_false_alarm_rate=0.2)
    again, seen = measured(decided, root, tmp_path)
    assert seen == 0
    assert first.threshold is None
    assert again.threshold == decided.model_.decision.threshold
    assert again.classes["good"].called_anomalous == sum(
        one.score > again.threshold for one in again.scored if not one.sample.is_anomaly
    )
    assert again.threshold_images == 12


def redrawn(root):
    write_class(root / "test" / "dot", "dot", 1, first=500)
    (root / "test" / "dot" / "500.png").replace(root / "test" / "dot" / "000.png")


def marked(root):
    mask = np.ones((48, 48), dtype=np.bool_)
    Image.fromarray(mask).save(sorted((root / "ground_truth" / "frame").iterdir())[0])


def relabelled(root):
    moved = root / "test" / "dot" / "000.png"
    moved.rename(root / "test" / "bar" / "dot.png")


def removed(root):
    (root / "test" / "dot" / "000.png").unlink()


@pytest.mark.parametrize("change", [redrawn, marked, relabelled, removed])
def test_another_image_mask_or_label_is_scored(trained, root, tmp_path, change):
    measured(trained, root, tmp_path / "cache")
    change(root)
    plain, all_of_them = measured(trained, root, None)
    found, seen = measured(trained, root, tmp_path / "cache")
    assert seen == all_of_them
    assert asdict(found) == asdict(plain)


def test_another_model_or_expression_is_another_measurement(trained, root, tmp_path):
    measured(trained, root, tmp_path)
    weights, statistics = trained.model_.unified
    changed = {name: tensor * 1.01 for name, tensor in weights.items()}
    other = AHL(backbone=TinyBackbone())._fitted(
        replace(trained.model_, unified=type(trained.model_.unified)(changed, statistics))
    )
    assert measured(other, root, tmp_path)[1]
    assert measured(trained, root, tmp_path, group_by=r"(\d+)\.png")[1]
    assert not measured(trained, root, tmp_path)[1]


@pytest.mark.parametrize("damage", ["altered", "cut", "another's", "gone"])
def test_a_damaged_entry_is_made_anew(trained, root, tmp_path, damage):
    first, all_of_them = measured(trained, root, tmp_path)
    (file,) = (tmp_path / FOLDER).iterdir()
    text = file.read_text()
    match damage:
        case "altered":
            score = json.loads(text)["values"]["scores"][5]
            file.write_text(text.replace(repr(score), repr(score + 1)))
        case "cut":
            file.write_text(text[: len(text) // 2])
        case "another's":
            measured(trained, root, tmp_path, group_by="x")
            (other,) = set((tmp_path / FOLDER).iterdir()) - {file}
            other.replace(file)
        case "gone":
            file.unlink()
    again, seen = measured(trained, root, tmp_path)
    assert seen == all_of_them
    assert asdict(again) == asdict(first)
    assert file.read_text() == text


def test_an_image_that_can_be_read_by_now_is_scored(trained, root, tmp_path, monkeypatch):
    """Its bytes are the same, but what reads them is installed, or the disk works again."""
    read = measurement.read_pixels
    unread = root / "test" / "bar" / "001.png"

    def fails(source, **options):
        if getattr(source, "source", source) == unread:
            raise ImageError("it needs a package")
        return read(source, **options)

    for module in ("ahl.data.images.sources", "ahl.scoring.measurement"):
        monkeypatch.setattr(f"{module}.read_pixels", fails)
    first, seen = measured(trained, root, tmp_path)
    assert measured(trained, root, tmp_path)[1] == 0, "as long as it cannot"
    monkeypatch.undo()
    again, all_of_them = measured(trained, root, tmp_path)
    assert (seen, len(first.scored)) == (all_of_them - 1, len(again.scored) - 1)


def test_a_cache_that_cannot_be_written_to_is_said(trained, root, tmp_path):
    (tmp_path / "cache").write_text("a file")
    notes = Notes()
    result, _ = measured(trained, root, tmp_path / "cache", callback=notes)
    assert result.auroc is not None
    assert "The scores were not cached" in notes.notes[-1]
