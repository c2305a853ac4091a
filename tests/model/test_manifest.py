"""What a model keeps of its episodes: true to what was trained on, checked when read."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahl import AHL, RunSettings
from ahl._common.errors import ModelFileError
from ahl._common.schema import read_values
from ahl._common.tensor_file import read_tensor_file, write_tensor_file
from ahl.config import DistributionConfig
from ahl.data.images.reading import content_hash
from ahl.distributions.episodes import make_episodes
from ahl.model.manifest import SHOWN, EpisodeRecord
from ahl.model.trained import TrainedModel
from ahl.pipeline.task import describe_episodes
from small_images import small_image
from tiny import TinyBackbone, fit, tiny_config


def fitted(**learning):
    detector = AHL(
        backbone=TinyBackbone(),
        config=tiny_config(epochs=2, **learning),
        run=RunSettings(cache=None),
    )
    normals = [small_image("good", i) for i in range(14)]
    return fit(detector, normals, [small_image("dot", 0), small_image("bar", 1)])


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.ahl"
    fitted().save(path)
    return path


def load(path):
    return TrainedModel.load(path, backbones=[TinyBackbone])


def test_the_file_tells_what_each_base_model_had(model_file):
    model = load(model_file)
    assert len(model.episodes) == len(model.history[0].importance)
    files = model.manifest.files
    for episode in model.episodes:
        assert {files[i].class_name for i in episode.shown_normals} == {"good"}
        assert {files[i].class_name for i in episode.support_anomalies} == {"anomaly"}
        assert len(episode.shown_normals) == min(SHOWN, episode.support_normals)
        assert episode.support_generator != episode.query_generator
    # Both halves of all normals, in the last one.
    assert sum((model.episodes[-1].support_normals, model.episodes[-1].query_normals)) == 14


def test_a_correction_that_moves_files_keeps_the_episodes_true(tmp_path):
    detector = fitted()
    before, image = (
        detector.model_,
        small_image("good", 3),
    )  # trained on as good, a defect after all
    detector.update([image], force=True)
    after = detector.model_
    assert [f.sha256 for f in after.manifest.files] != [f.sha256 for f in before.manifest.files]
    for old, new in zip(before.episodes, after.episodes, strict=True):
        for name in ("shown_normals", "support_anomalies"):
            held = [before.manifest.files[i].sha256 for i in getattr(old, name)]
            held = [one for one in held if one != content_hash(image)]  # a defect now
            assert [after.manifest.files[i].sha256 for i in getattr(new, name)] == held
    detector.save(tmp_path / "corrected.ahl")
    assert load(tmp_path / "corrected.ahl").episodes == after.episodes


def test_a_base_detector_alone_has_none():
    assert fitted(episodes=False).model_.episodes == ()


def test_feature_maps_have_no_images_to_name():
    maps = np.random.default_rng(0).normal(size=(12, 6, 3, 3)).astype(np.float32)
    detector = AHL(config=tiny_config(epochs=1)).fit_features(maps[:10], maps[10:])
    assert detector.model_.episodes == ()


HOSTILE = {
    "an image beyond the manifest": {"support_anomalies": [16]},
    "an image before it": {"shown_normals": [-1]},
    "an image twice": {"shown_normals": [1, 1]},
    "part of an image": {"shown_normals": [0.5]},
    "truth for an image": {"shown_normals": [True]},
    "images as text": {"support_anomalies": "0"},
    "too many shown": {"shown_normals": list(range(SHOWN + 1))},
    "a negative count": {"support_normals": -1},
    "a count that is no number": {"query_pseudo": "many"},
    "a name that is no text": {"name": ["a"]},
    "a generator that is no text": {"support_generator": 3},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_episodes_are_refused(model_file, tmp_path, name):
    header, groups = read_tensor_file(model_file, "model")
    header["episodes"][0] |= HOSTILE[name]
    write_tensor_file(tmp_path / "hostile.ahl", "model", header, groups)
    with pytest.raises(ModelFileError, match=r"hostile\.ahl"):
        load(tmp_path / "hostile.ahl")


@pytest.mark.parametrize("episodes", [None, "much", {"a": 1}, [1], [{}]])
def test_what_are_no_episodes_is_refused(model_file, tmp_path, episodes):
    header, groups = read_tensor_file(model_file, "model")
    write_tensor_file(tmp_path / "h.ahl", "model", header | {"episodes": episodes}, groups)
    with pytest.raises(ModelFileError, match=r"h\.ahl"):
        load(tmp_path / "h.ahl")


@given(
    normals=st.integers(1, 60),
    anomalies=st.integers(1, 6),
    generators=st.integers(0, 3),
    step=st.integers(1, 4),
)
def test_records_say_what_the_episodes_hold(normals, anomalies, generators, step):
    assignment = np.arange(normals) % 3
    names = ["a", "b", "c"][:generators]
    episodes = make_episodes(assignment, anomalies, generators, DistributionConfig(), seed=1)
    pictured = np.arange(normals) % step == 0
    records = describe_episodes(episodes, names, pictured)
    for episode, record in zip(episodes, records, strict=True):
        support, query = episode.support, episode.query
        assert [i - normals for i in record.support_anomalies] == support.anomalies.tolist()
        assert set(record.shown_normals) <= set(support.normals.tolist())
        there = pictured[support.normals]
        assert pictured[list(record.shown_normals)].all() or not there.any()
        assert len(record.shown_normals) == min(SHOWN, there.sum() or len(there))
        assert (record.support_normals, record.query_normals) == (
            len(support.normals),
            len(query.normals),
        )
        assert record.query_anomalies == len(query.anomalies)
        assert record.support_pseudo == len(support.twins)
        made = names[support.generator] if generators else None
        assert record.support_generator == made
    for record in records:
        assert read_values(json.loads(json.dumps(asdict(record))), EpisodeRecord) == record
