"""Images that a model got wrong, given to its correction."""

import numpy as np
import pytest

from ahl import AHL, RunSettings
from ahl._common.errors import ConfigurationError, DataError, ImageError
from ahl.data.images.reading import content_hash
from ahl.pipeline.update_result import Update
from small_images import small_image, write_class
from tiny import TinyBackbone, fit, tiny_config


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    detector = AHL(
        backbone=TinyBackbone(), config=tiny_config(epochs=4, rounds=2), run=RunSettings(cache=None)
    )
    fit(detector, [small_image("good", i) for i in range(16)], [small_image("dot", 0)], ["dot"])
    path = tmp_path_factory.mktemp("model") / "m.ahl"
    detector.save(path)
    return path


@pytest.fixture
def detector(trained):
    return AHL.load(trained, backbones=[TinyBackbone], run=RunSettings(device="cpu"))


def test_a_missed_defect_is_trained_on_and_counts_as_seen(detector, tmp_path):
    missed = write_class(tmp_path / "new", "frame", 1, first=30)
    before = detector.decision_function(missed)[0]
    found = detector.update(missed, classes=["frame"], force=True)
    assert detector.decision_function(missed)[0] > before
    assert found.before[-1] == pytest.approx(before, abs=0.05)
    manifest = detector.model_.manifest
    assert content_hash(missed[0]) in manifest.hashes
    assert manifest.seen_classes == {"dot", "frame"}
    assert manifest.files[-1].name == missed[0].as_posix()
    kept = detector.model_.exemplars
    assert [one.class_name for one in kept.images if one.role == "anomaly"] == ["dot", "frame"]
    assert kept.picture(len(kept) - 1).std() > 0


def test_a_corrected_model_comes_back_from_its_file(detector, tmp_path):
    detector.update([small_image("frame", 30)], [small_image("bar", 31)], force=True)
    detector.save(tmp_path / "u.ahl")
    again = AHL.load(tmp_path / "u.ahl", backbones=[TinyBackbone], run=RunSettings(device="cpu"))
    images = [small_image("frame", i) for i in range(40, 44)]
    np.testing.assert_array_equal(
        again.decision_function(images), detector.decision_function(images)
    )
    assert again.model_.manifest == detector.model_.manifest


def test_an_image_once_trained_on_as_good_takes_its_new_label(detector):
    image = small_image("good", 3)
    detector.update([image], force=True)
    labels = {
        f.class_name for f in detector.model_.manifest.files if f.sha256 == content_hash(image)
    }
    assert labels == {"missed"}


def test_what_worsens_is_refused_and_changes_nothing(detector, monkeypatch):
    monkeypatch.setattr(Update, "worsens", True)
    before, image = detector.model_, small_image("frame", 30)
    with pytest.raises(DataError, match="force=True"):
        detector.update([image])
    assert detector.model_ is before
    detector.update([image], force=True)
    assert detector.model_ is not before


def test_what_cannot_be_used_is_said(detector, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    with pytest.raises(DataError, match="no readable image"):
        detector.update([bad])
    for name in ("good", ""):
        with pytest.raises(ConfigurationError, match="missed defect"):
            detector.update([small_image("dot", 9)], classes=[name])
    with pytest.raises(DataError, match="too many for an update"):
        detector.update([], [small_image("good", i) for i in range(101)])
    with pytest.raises(DataError, match="the same image"):
        detector.update([small_image("dot", 9)], [small_image("dot", 9)])
    strict = AHL(
        backbone=TinyBackbone(),
        config=tiny_config(epochs=1),
        run=RunSettings(cache=None, strict=True),
    )
    fit(strict, [small_image("good", i) for i in range(10)], [small_image("dot", 0)])
    with pytest.raises(ImageError, match="bad"):
        strict.update([bad])
    features = AHL(config=tiny_config(epochs=1))
    maps = np.random.default_rng(0).normal(size=(12, 6, 4, 4))
    features.fit_features((maps,), (maps[:1] + 5,))
    with pytest.raises(DataError, match="feature maps"):
        features.update([small_image("dot", 0)])
