"""scikit-learn's contract: parameters, clones, grid search and cross-validation over images."""

import numpy as np
import pytest
import sklearn.exceptions
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.utils import estimator_checks
from sklearn.utils.validation import check_is_fitted

from ahl import AHL, RunSettings
from ahl._common.callbacks import Callback, PatientCallback
from ahl._common.errors import ConfigurationError, DataError, NotFittedError
from ahl.data.labels import labelled
from ahl.scoring import predictor
from small_images import small_image, write_class
from tiny import ENOUGH, TinyBackbone, tiny_config

IMAGES = [small_image("good", i) for i in range(24)] + [small_image("dot", i) for i in range(6)]
LABELS = [0] * 24 + [1] * 6


class Listener(Callback):
    """One of the user's own."""


def make(**options) -> AHL:
    return AHL(**{"backbone": TinyBackbone(), "config": tiny_config(epochs=2), **options})


@pytest.fixture(scope="module")
def trained():
    return make().fit(IMAGES, LABELS)


# The checks of scikit-learn that do not fit numbers of two dimensions.
@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_estimator_cloneable,
        estimator_checks.check_estimator_repr,
        estimator_checks.check_estimator_tags_renamed,
        estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
        estimator_checks.check_get_params_invariance,
        estimator_checks.check_mixin_order,
        estimator_checks.check_no_attributes_set_in_init,
        estimator_checks.check_parameters_default_constructible,
        estimator_checks.check_set_params,
        estimator_checks.check_valid_tag_types,
    ],
    ids=lambda check: check.__name__,
)
def test_scikit_learns_own_checks_of_estimators_pass(check):
    check("AHL", AHL())


def test_parameters_are_attributes_and_clones_have_them():
    run = RunSettings(cache=None, callback=Callback())
    detector = make(seed=3, run=run)
    copy = clone(detector)
    assert copy.seed == 3
    assert copy.get_params().keys() == detector.get_params().keys()
    assert copy.run is run
    assert copy.set_params(seed=4, heads="devnet").heads == "devnet"
    assert detector.seed == 3
    assert "seed=3" in repr(detector)


def test_a_clone_is_not_fitted(trained):
    with pytest.raises(NotFittedError):
        clone(trained).decision_function(IMAGES[:1])


def test_labels_are_numbers_or_names():
    names = ["good"] * 24 + ["dot"] * 6
    named, numbered = make().fit(np.stack(IMAGES), np.array(names)), make().fit(IMAGES, LABELS)
    assert named.model_.manifest.seen_classes == {"dot"}
    assert numbered.model_.manifest.seen_classes == {"anomaly"}
    assert np.array_equal(named.decision_function(IMAGES), numbered.decision_function(IMAGES))


def test_the_order_of_images_is_free():
    places = np.random.default_rng(0).permutation(len(IMAGES))
    mixed = make(config=tiny_config(**ENOUGH)).fit(
        [IMAGES[i] for i in places], np.array(LABELS)[places]
    )
    assert len(mixed.model_.manifest.files) == len(IMAGES)
    assert mixed.score(IMAGES, LABELS) > 0.9


def test_a_folder_has_its_own_labels(tmp_path):
    write_class(tmp_path / "good", "good", 12)
    write_class(tmp_path / "dot", "dot", 2)
    detector = make().fit(tmp_path)
    assert detector.model_.manifest.seen_classes == {"dot"}


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (None, "labels are missing"),
        ([0] * 29, "30 images but 29 labels"),
        ([0] * 29 + [2], "A label is 2"),
        ([0] * 29 + ["dot"], "A label is"),
        ([0] * 29 + [""], "A label is ''"),
        ([0.5] * 30, "A label is 0.5"),
        ([float("nan")] * 30, "A label is nan"),
        ([None] * 30, "A label is None"),
        ([np.array([0, 1])] * 30, "A label is array"),
        (np.zeros((30, 1)), r"A label is \[0.0\]"),
        (1, "labels is 1"),
        (np.array(1), "labels is array"),
        ("g" * 30, "labels is 'ggg"),
    ],
)
def test_labels_that_do_not_fit_are_named(labels, says):
    with pytest.raises(DataError, match=says):
        make().fit(IMAGES, labels)


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (torch.rand(30, 3, 64, 64), "Tensor of torch.float32.*uint8 arrays"),
        ([torch.rand(3, 64, 64)] * 30, "Tensor"),
        (np.random.default_rng(0).random((30, 64, 64, 3)), "ndarray of float64.*uint8 arrays"),
        ("parts", "one path"),
        (7, "list of images"),
        ([*IMAGES[:29], torch.rand(3, 64, 64)], r"images\[29\] is of Tensor"),
        ([IMAGES[0].tolist()] * 30, r"images\[0\] is of list"),
        ([b"a.png"] * 30, r"images\[0\] is of bytes"),
    ],
    ids=["tensor", "tensors", "floats", "path", "number", "one tensor", "lists", "bytes"],
)
def test_images_of_another_kind_are_named(images, says):
    with pytest.raises(DataError, match=says):
        make().fit(images, LABELS)


@pytest.mark.parametrize("images", [IMAGES[0], [IMAGES[0].astype(float)], "a.png"])
def test_images_to_learn_from_are_checked_alike(trained, images):
    for learn in (trained.adapt, trained.update):
        with pytest.raises(DataError, match=r"expected|list of images"):
            learn(images)


@pytest.mark.parametrize(
    "kind",
    [tuple, np.array, lambda labels: np.array(labels, bool), torch.tensor, iter]
    + [lambda labels, one=one: [one(label) for label in labels] for one in (np.bool_, np.int8)],
    ids=["tuple", "array", "bools", "tensor", "iterator", "numpy bools", "numpy integers"],
)
def test_labels_come_in_any_list(kind):
    good, bad = labelled(IMAGES, kind(LABELS))
    assert (len(good), len(bad)) == (24, 6)
    assert {image.class_name for image in bad} == {"anomaly"}


def test_arrays_of_paths_are_lists(tmp_path, trained):
    paths = write_class(tmp_path / "a folder", "dot", 2)
    expected = trained.decision_function(paths)
    for kind in (str, object):
        found = trained.decision_function(np.array(paths).astype(kind))
        assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"seed": "a"}, "seed is 'a'"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"seed": None}, "seed is None"),
        ({"seed": float("nan")}, "seed is nan"),
        ({"config": {}}, "config is {}"),
        ({"run": {}}, "run is {}"),
        ({"stages": 3}, "stages is 3"),
        ({"backbone_arguments": [1]}, r"backbone_arguments is \[1\]"),
        ({"generators": [1]}, r"generators is \[1\]"),
    ],
    ids=str,
)
def test_parameters_of_another_kind_are_named(options, says):
    with pytest.raises(ConfigurationError, match=says):
        make(**options).fit(IMAGES, LABELS)


def test_run_settings_take_text_for_paths_and_refuse_what_is_no_callback(tmp_path):
    checkpoint = tmp_path / "a checkpoint"
    detector = make(run=RunSettings(checkpoint=str(checkpoint), cache=str(tmp_path / "cache")))
    detector.fit(IMAGES, LABELS)
    assert checkpoint.exists()
    detector.save(str(tmp_path / "model.ahl"))
    assert not checkpoint.exists()
    with pytest.raises(ConfigurationError, match="callback is None"):
        RunSettings(callback=None)


def test_it_computes_on_the_device_that_is_set_last(trained, monkeypatch):
    trained.decision_function(IMAGES[:1])
    first = trained.scorer
    assert trained.scorer is first
    monkeypatch.setattr(RunSettings, "torch_device", torch.device("meta"))
    monkeypatch.setattr(predictor, "TorchScorer", lambda model, device: (model, device))
    assert trained.scorer == (trained.model_, torch.device("meta"))
    trained._scorer = first


def test_scikit_learn_sees_whether_it_is_fitted(trained, tmp_path):
    with pytest.raises(sklearn.exceptions.NotFittedError):
        check_is_fitted(make())
    assert not hasattr(make(), "classes_")
    trained.save(tmp_path / "model.ahl")
    loaded = AHL.load(tmp_path / "model.ahl", backbones=[TinyBackbone])
    for one in (trained, loaded):
        check_is_fitted(one)
        assert hasattr(one, "classes_")
    assert loaded.get_params()["config"] == trained.config


def test_answers_have_scikit_learns_shapes(trained):
    images = [*IMAGES[:3], *IMAGES[-2:]]
    scores, answers = trained.decision_function(images), trained.predict(images)
    probabilities = trained.predict_proba(images)
    assert scores.shape == answers.shape == (5,)
    assert probabilities.shape == (5, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert list(np.argsort(scores)) == list(np.argsort(probabilities[:, 1]))
    assert trained.classes_.tolist() == [0, 1]
    assert np.array_equal(answers, (probabilities[:, 1] > 0.5).astype(int))
    assert trained.predict_proba([]).shape == (0, 2)


def test_a_threshold_decides_once_it_is_set():
    detector = make().fit(IMAGES, LABELS)
    decision = detector.threshold(max_false_alarm_rate=0.2)
    scores = detector.decision_function(IMAGES)
    assert np.array_equal(detector.predict(IMAGES), (scores > decision.threshold).astype(int))


def test_without_calibration_or_threshold_nothing_is_decided():
    detector = make().fit(IMAGES[:4] + IMAGES[-1:], [0, 0, 0, 0, 1])  # too few for folds
    with pytest.raises(ConfigurationError, match="threshold"):
        detector.predict(IMAGES)


def test_it_is_searched_and_cross_validated():
    folds = StratifiedKFold(2, shuffle=True, random_state=0)
    config = tiny_config(epochs=3)
    search = GridSearchCV(make(config=config), {"heads": ["dra", "devnet"]}, cv=folds, n_jobs=1)
    search.fit(IMAGES, LABELS)
    assert search.best_params_["heads"] in ("dra", "devnet")
    assert 0.5 < search.best_score_ <= 1.0
    found = cross_val_score(make(config=config), IMAGES, LABELS, cv=folds)
    assert found.shape == (2,)


def test_verbose_prints_progress(capfd):
    make(verbose=1).fit(IMAGES, LABELS)
    told = capfd.readouterr().err
    assert "epoch 2/2: support loss" in told
    assert "features of normal images: 24" in told
    for verbose in (0, None):
        make(verbose=verbose).fit(IMAGES, LABELS)
        assert capfd.readouterr().err == "", "it takes no time"


def test_a_long_fit_says_how_far_it_is_unless_it_must_not(capfd, monkeypatch):
    monkeypatch.setattr(PatientCallback, "EVERY", 0.0)
    make().fit(IMAGES, LABELS)
    assert "ahl: training, epochs: 2/2" in capfd.readouterr().err
    make(verbose=0).fit(IMAGES, LABELS)
    make(run=RunSettings(cache=None, callback=Listener())).fit(IMAGES, LABELS)
    assert capfd.readouterr().err == "", "a callback of one's own is enough"
