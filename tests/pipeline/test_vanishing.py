"""A training image that vanishes or changes meanwhile is named, and the training goes on."""

import pytest
from PIL import Image

from ahl import AHL, RunSettings
from ahl._common.callbacks import Callback
from ahl._common.errors import DataError, ImageError
from ahl.pipeline import train
from small_images import small_image, write_class
from tiny import TinyBackbone, fit, tiny_config


class Said(Callback):
    def __init__(self):
        self.notes, self.skipped = [], []

    def on_note(self, text):
        self.notes.append(text)

    def on_skipped(self, skipped):
        self.skipped.append(skipped)


@pytest.fixture
def images(tmp_path):
    return write_class(tmp_path / "good", "good", 12), write_class(tmp_path / "dot", "dot", 3)


def before(monkeypatch, module, name, act):
    """Have something happen the first time that a function is called."""
    function, waiting = getattr(module, name), [act]

    def called(*given, **options):
        if waiting:
            waiting.pop()()
        return function(*given, **options)

    monkeypatch.setattr(module, name, called)


def trained(images, cache, **settings):
    said, options = Said(), {k: settings.pop(k) for k in ("strict",) if k in settings}
    run = RunSettings(cache=cache, callback=said, **options)
    detector = AHL(backbone=TinyBackbone(), config=tiny_config(epochs=1), run=run, **settings)
    return fit(detector, *images), said


@pytest.mark.parametrize("finetune", [False, True])
def test_one_that_vanishes_before_it_is_read_is_skipped(images, tmp_path, monkeypatch, finetune):
    step = "finetune_backbone" if finetune else "open_extraction"
    before(monkeypatch, train, step, images[0][4].unlink)
    detector, said = trained(images, tmp_path / "cache", finetune=finetune)
    assert [one.reason for one in said.skipped] == ["there is no such file"]
    assert len(detector.model_.manifest.files) == 14


def test_one_that_changes_poisons_neither_model_nor_cache(images, tmp_path, monkeypatch):
    """What was hashed as a good part shows a defect when it is read, and a good part again."""
    changing, cache = images[0][4], tmp_path / "cache"
    was = changing.read_bytes()
    clean, _ = trained(images, cache=None)
    before(
        monkeypatch,
        train,
        "open_extraction",
        lambda: Image.fromarray(small_image("dot", 9)).save(changing),
    )
    detector, said = trained(images, cache)
    assert [one.reason for one in said.skipped] == ["it changed while it was used"]
    assert len(detector.model_.manifest.files) == 14
    changing.write_bytes(was)
    again, said = trained(images, cache)
    assert not said.skipped
    assert again.model_.sha256 == clean.model_.sha256


def test_one_that_vanishes_behind_its_features_has_no_twin(images, tmp_path, monkeypatch):
    before(monkeypatch, train, "plan_pseudo_anomalies", images[0][4].unlink)
    detector, said = trained(images, tmp_path / "cache")
    assert any(
        "not made, because their images can no longer be read" in note for note in said.notes
    )
    assert len(detector.model_.manifest.files) == 15
    assert not said.skipped


def test_copies_of_one_that_vanished_are_not_looked_for_and_that_is_said(
    images, tmp_path, monkeypatch
):
    before(monkeypatch, train, "find_parts", images[0][4].unlink)
    _, said = trained(images, tmp_path / "cache")
    assert any(note.startswith("1 image could not be searched for copies") for note in said.notes)


def test_without_any_twin_and_with_strict_it_ends(images, tmp_path, monkeypatch):
    before(monkeypatch, train, "plan_pseudo_anomalies", images[0][4].unlink)
    with pytest.raises(ImageError, match="no such file"):
        trained(images, tmp_path / "cache", strict=True)
    before(monkeypatch, train, "plan_pseudo_anomalies", lambda: [p.unlink() for p in images[0][5:]])
    with pytest.raises(DataError, match="No pseudo anomaly can be made any more"):
        trained((images[0][5:], images[1]), tmp_path / "other")


def test_good_images_that_all_vanish_are_too_few(images, tmp_path, monkeypatch):
    before(monkeypatch, train, "check_variety", lambda: [path.unlink() for path in images[0]])
    with pytest.raises(DataError, match="There are 0 readable normal images"):
        trained(images, tmp_path / "cache")
