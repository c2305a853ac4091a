"""The estimator end to end on small pictures."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ahl import AHL, RunSettings
from ahl._common.callbacks import Callback
from ahl._common.errors import ConfigurationError, DataError, ImageError, NotFittedError
from ahl.data import draw_split, open_dataset
from ahl.features.extractor import FeatureExtractor
from ahl.scoring.metrics import auroc
from small_images import small_image, write_class
from tiny import ENOUGH, TinyBackbone, fit, tiny_config


def make(**options) -> AHL:
    return AHL(**{"backbone": TinyBackbone(), "config": tiny_config(), **options})


def normals(count=20):
    return [small_image("good", i) for i in range(count)]


def anomalies(count=4):
    return [small_image("dot", i) for i in range(count)]


@pytest.fixture(scope="module")
def trained():
    return fit(make(config=tiny_config(epochs=30)), normals(), anomalies())


# DevNet's one linear map of positions finds what responds more than a normal (bars), not the
# dark dots, to which these filters respond less.
@pytest.mark.parametrize(
    ("base", "kinds"), [("dra", ("dot", "bar", "frame")), ("devnet", ("bar",))]
)
def test_finds_seen_and_unseen_kinds(base, kinds):
    detector = fit(make(heads=base, config=tiny_config(**ENOUGH)), normals(40), anomalies(6))
    good = [small_image("good", i) for i in range(200, 230)]
    for kind in kinds:
        bad = [small_image(kind, i) for i in range(300, 320)]
        scores = detector.decision_function([*good, *bad])
        assert auroc([0] * 30 + [1] * 20, scores) > 0.9, kind


def test_paths_pillow_images_and_arrays_score_alike(trained, tmp_path):
    array = small_image("bar", 3)
    path = tmp_path / "bar.png"
    Image.fromarray(array).save(path)
    scores = trained.decision_function([array, Image.fromarray(array), path, str(path)])
    assert len(set(scores)) == 1


def test_one_image_one_score_whatever_the_batch(trained):
    images = [small_image(kind, i) for kind in ("good", "dot", "bar") for i in range(50, 57)]
    together = trained.decision_function(images)
    backwards = trained.decision_function(images[::-1])[::-1]
    apart = np.concatenate([trained.decision_function([image]) for image in images])
    assert np.array_equal(together, apart)
    assert np.array_equal(together, backwards)


def test_same_data_and_seed_give_the_same_bytes_and_another_seed_does_not(tmp_path):
    files = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        fit(make(seed=seed, run=RunSettings(cache=tmp_path / name)), normals(), anomalies()).save(
            tmp_path / f"{name}.ahl"
        )
        files.append((tmp_path / f"{name}.ahl").read_bytes())
    assert files[0] == files[1]
    assert files[0] != files[2]


def test_saved_and_loaded_detectors_score_alike(trained, tmp_path):
    images = [small_image(kind, i) for kind in ("good", "dot") for i in range(60, 65)]
    trained.save(tmp_path / "model.ahl")
    loaded = AHL.load(tmp_path / "model.ahl", backbones=[TinyBackbone])
    assert np.array_equal(loaded.decision_function(images), trained.decision_function(images))
    loaded.save(tmp_path / "again.ahl")
    assert (tmp_path / "again.ahl").read_bytes() == (tmp_path / "model.ahl").read_bytes()


def test_no_test_image_touches_training(benchmark_folder, tmp_path):
    """Training with every test image destroyed gives the same model, byte for byte."""
    models = []
    for name in ("whole", "destroyed"):
        root = tmp_path / name
        shutil.copytree(benchmark_folder, root)
        split = draw_split(open_dataset(root), anomalies=3, seed=4)
        if name == "destroyed":
            assert len(split.test) == 12 + 24 - 3
            for sample in split.test:
                sample.path.write_text("not an image any more")
        detector = make(run=RunSettings(cache=tmp_path / f"cache-{name}"))
        detector.fit_split(split)
        detector.save(tmp_path / f"{name}.ahl")
        models.append((tmp_path / f"{name}.ahl").read_bytes())
    assert models[0] == models[1]


def test_test_images_would_have_changed_the_model(benchmark_folder, tmp_path):
    """The check above can fail: a model that sees test images differs."""
    split = draw_split(open_dataset(benchmark_folder), anomalies=3, seed=4)
    tested_normals = tuple(s for s in split.test if not s.is_anomaly)
    leaking = replace(split, normals=split.normals + tested_normals)
    models = []
    for name, used in (("clean", split), ("leaking", leaking)):
        make().fit_split(used).save(tmp_path / name)
        models.append((tmp_path / name).read_bytes())
    assert models[0] != models[1]


def test_a_second_run_does_no_backbone_work(tmp_path, monkeypatch):
    fit(make(run=RunSettings(cache=tmp_path)), normals(), anomalies())
    extracted = []
    original = FeatureExtractor.extract
    monkeypatch.setattr(
        FeatureExtractor,
        "extract",
        lambda self, pixels: extracted.append(len(pixels)) or original(self, pixels),
    )
    fit(make(run=RunSettings(cache=tmp_path)), normals(), anomalies())
    assert extracted == []
    fit(
        make(run=RunSettings(cache=tmp_path), seed=1),
        [*normals(), small_image("good", 99)],
        anomalies(),
    )
    assert sum(extracted) > 1  # the new normal and the new seed's pseudo anomalies
    extracted.clear()
    fit(
        make(run=RunSettings(cache=tmp_path), backbone=TinyBackbone(seed=3)), normals(), anomalies()
    )
    assert sum(extracted) >= 24  # other weights: nothing may be reused


def test_every_image_goes_through_the_backbone_once(tmp_path):
    TinyBackbone.images_seen = 0
    detector = fit(make(run=RunSettings(cache=tmp_path)), normals(20), anomalies(4))
    files = len(detector.model_.manifest.files)
    # The first array of each file: a key for every row.
    pseudo = sum(len(np.load(path)) for path in tmp_path.rglob("*.npy"))
    probe = 1
    assert files == 24
    assert TinyBackbone.images_seen == 2 * (pseudo + probe)  # two scales each


def test_unreadable_images_are_skipped_and_counted(tmp_path):
    class Listening(Callback):
        def __init__(self):
            self.skipped = []

        def on_skipped(self, skipped):
            self.skipped.append(skipped)

    paths = write_class(tmp_path / "good", "good", 10)
    (tmp_path / "good" / "text.png").write_text("hello")
    paths[2].write_bytes(paths[2].read_bytes()[:60])
    callback = Listening()
    sources = [*paths, tmp_path / "good" / "text.png", tmp_path / "good" / "missing.png"]
    detector = fit(make(run=RunSettings(callback=callback)), sources, anomalies())
    assert len(detector.model_.manifest.files) == 9 + 4
    assert detector.model_.manifest.skipped == 3
    assert {name.name.rsplit("/", 1)[1] for name in callback.skipped} == {
        "002.png",
        "text.png",
        "missing.png",
    }
    with pytest.raises(ImageError, match=r"missing\.png"):
        fit(make(run=RunSettings(strict=True)), sources, anomalies())


def test_predict_reports_bad_images_in_place(trained, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n")
    images = [small_image("good", 1), bad, small_image("dot", 2), tmp_path / "gone.png"]
    predictions = list(trained.explain(images))
    assert [p.index for p in predictions] == [0, 1, 2, 3]
    assert [p.error is None for p in predictions] == [True, False, True, False]
    assert predictions[0].heads.keys() == {"holistic", "seen", "pseudo", "residual"}
    assert np.isfinite(predictions[0].score)
    with pytest.raises(ImageError, match=r"bad\.png"):
        trained.decision_function(images)
    assert list(trained.explain([])) == []
    assert [p.error is None for p in trained.explain([bad])] == [False]


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_anomalies_are_enough(count):
    detector = fit(make(config=tiny_config(epochs=2)), normals(), anomalies(count))
    assert np.isfinite(detector.decision_function(anomalies(2))).all()


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_few_normals_are_enough(count):
    detector = fit(make(config=tiny_config(epochs=2)), normals(count), anomalies(2))
    assert np.isfinite(detector.decision_function(anomalies(2))).all()


def test_identical_normals_do_not_break_the_clustering():
    same = [small_image("good", 0)] * 8
    with pytest.raises(DataError, match="show the same picture"):
        fit(make(config=tiny_config(epochs=2)), same, anomalies(2))
    nearly = [*same, small_image("good", 1)]
    detector = fit(make(config=tiny_config(epochs=2)), nearly, anomalies(2))
    assert np.isfinite(detector.decision_function(anomalies(2))).all()


def test_a_folder_says_what_it_leaves_out(tmp_path):
    write_class(tmp_path / "good", "good", 8)
    write_class(tmp_path / "dot", "dot", 2)
    (tmp_path / "notes.txt").touch()
    notes = []
    callback = Callback()
    callback.on_note = notes.append
    make(config=tiny_config(epochs=1), run=RunSettings(callback=callback)).fit(tmp_path)
    assert notes[0] == "1 file was left out, without an image's suffix: 1 .txt."
    assert any(note.startswith("With only 8 good images,") for note in notes)


def test_too_few_images_are_refused():
    with pytest.raises(DataError, match="at least one labelled anomaly"):
        fit(make(), normals(), [])
    with pytest.raises(DataError, match="at least 2"):
        fit(make(), normals(1), anomalies())
    with pytest.raises(DataError, match="one path"):
        make().fit("folder", [0, 1])
    with pytest.raises(DataError, match="23 labels"):
        fit(make(), normals(), anomalies(4), classes=["a", "b", "c"])
    with pytest.raises(DataError, match="at least one labelled anomaly"):
        fit(make(), normals(), anomalies(1), classes=["good"])


def test_without_training_there_is_no_score():
    with pytest.raises(NotFittedError, match="fit"):
        make().decision_function(anomalies())
    with pytest.raises(NotFittedError, match="load"):
        make().save("nowhere.ahl")


def test_wrong_options_are_named():
    with pytest.raises(ConfigurationError, match="heads is 'dre'"):
        fit(make(heads="dre"), normals(), anomalies())
    with pytest.raises(ConfigurationError, match="seed"):
        fit(make(seed=-1), normals(), anomalies())
    with pytest.raises(ConfigurationError, match="image_size"):
        fit(AHL(image_size=33), normals(), anomalies())
    with pytest.raises(ConfigurationError, match="device"):
        fit(make(run=RunSettings(device="tpu")), normals(), anomalies())
    with pytest.raises(ConfigurationError, match="expected one of them"):
        fit(AHL(preset="paper", config=tiny_config()), normals(), anomalies())
    with pytest.raises(ConfigurationError, match="episodes is 'all'"):
        fit(make(episodes="all"), normals(), anomalies())


def test_the_device_is_chosen_and_never_fixed(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert make(run=RunSettings(device="auto"))._device().type == "cpu"
    with pytest.raises(ConfigurationError, match="no CUDA device"):
        fit(make(run=RunSettings(device="cuda")), normals(), anomalies())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert make(run=RunSettings(device="auto"))._device().type == "cuda"
    assert make(run=RunSettings(device="cpu"))._device().type == "cpu"


@pytest.mark.parametrize(
    "image",
    [
        small_image("good", 0),
        small_image("good", 0)[..., 0],
        Image.fromarray(small_image("good", 0)),
        "part.png",
        Path("part.png"),
        None,
    ],
    ids=["array", "grey array", "pillow", "name", "path", "nothing"],
)
def test_one_image_is_not_taken_for_a_list(trained, image):
    for act in (trained.decision_function, trained.explain, lambda one: make().fit(one, [0, 1])):
        with pytest.raises(DataError, match="list of images"):
            act(image)


def test_any_iterable_and_a_stacked_array_are_lists(trained):
    images = normals(3)
    expected = trained.decision_function(images)
    for given in (iter(images), tuple(images), np.stack(images)):
        assert np.array_equal(trained.decision_function(given), expected)
