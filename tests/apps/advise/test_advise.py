"""Advice on whole folders, with a backbone that takes no time."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ahl._common.callbacks import Callback
from ahl._common.errors import ConfigurationError, DataError
from ahl.apps.advise import advise, sections
from ahl.data import open_dataset
from small_images import SIZE, small_image, write_class
from tiny import TinyBackbone, tiny_config


def look_over(folder, epochs=7, **options):
    config = tiny_config(epochs=epochs)
    return advise(
        folder, backbone=TinyBackbone(), config=config, cache=None, device="cpu", **options
    )


def text(advice):
    return "\n".join(line for section in sections(advice) for line in section.lines)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Plain good images, dots and bars; one dot among good, one good image among the bars."""
    root = tmp_path_factory.mktemp("advice")
    write_class(root / "good", "good", 30)
    write_class(root / "dot", "dot", 7)
    write_class(root / "bar", "bar", 7)
    Image.fromarray(small_image("dot", 50)).save(root / "good" / "wrong.png")
    Image.fromarray(small_image("good", 51)).save(root / "bar" / "wrong.png")
    shutil.copy(root / "dot" / "001.png", root / "good" / "copy.png")
    (root / "dot" / "torn.png").write_text("no image")
    return root


@pytest.fixture(scope="module")
def skipped():
    return []


@pytest.fixture(scope="module")
def whole(folder, skipped):
    callback = Callback()
    callback.on_skipped = skipped.append
    return look_over(folder, callback=callback)


def test_what_was_planted_is_found(whole, skipped):
    assert {one.name for one in whole.suspects} >= {"good/wrong.png", "bar/wrong.png"}
    assert whole.suspects[0].name in {"good/wrong.png", "good/copy.png", "bar/wrong.png"}
    assert sum(whole.suspected.values()) >= len(whole.suspects)
    (copy,) = whole.copies
    assert (copy.one, copy.other, copy.where) == (
        "dot/001.png",
        "good/copy.png",
        "good and defect",
    )
    assert [one.name for one in whole.skipped] == ["dot/torn.png"]
    assert tuple(skipped) == whole.skipped
    assert whole.images == {"bar": 8, "dot": 7, "good": 32}


def test_figures_are_of_left_out_images(whole):
    labels, curve = whole.labels, whole.curve
    assert (labels.anomalies, labels.normals) == (15, 32)
    assert labels.gain.value == pytest.approx(labels.labelled.value - labels.memory_only.value)
    assert curve.left_out == "classes"
    assert [kind.class_name for kind in curve.kinds] == ["bar", "dot"]
    assert [point.anomalies for point in curve.points] == [0, 1, 2, 4, 8]
    assert curve.new.value == pytest.approx(curve.points[-1].auroc.value)
    for point in curve.points:
        assert 0 <= point.auroc.low <= point.auroc.value <= point.auroc.high <= 1


def test_every_question_has_a_sentence_and_figures_are_json(whole):
    said = text(whole)
    for part in ("with both labels", "torn.png", "held-out", "bar (8)", "48 px"):
        assert part in said
    again = json.loads(json.dumps(whole.to_dict(), allow_nan=False))
    assert again["labels"]["gain"]["value"] == whole.labels.gain.value
    assert len(again["suspects"]) == len(whole.suspects)


def test_one_class_is_left_out_by_images_and_quick_is_less(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "one", ignore=shutil.ignore_patterns("bar"))
    advice = look_over(tmp_path / "one", quick=True)
    assert advice.curve.left_out == "images"
    assert (advice.curve.kinds, advice.curve.new) == ((), None)
    assert [point.anomalies for point in advice.curve.points] == [0, 2, 5]
    assert "there is only one class of defects" in text(advice)
    assert look_over(tmp_path / "one", quick=True).to_dict() == advice.to_dict()


def test_larger_originals_are_measured_at_a_larger_size(tmp_path):
    for name, count in (("good", 20), ("dot", 4)):
        (tmp_path / name).mkdir()
        for number in range(count):
            image = Image.fromarray(small_image(name, number)).resize((2 * SIZE, 2 * SIZE))
            image.save(tmp_path / name / f"{number}.png")
    size = look_over(tmp_path, epochs=1).size
    assert (size.size, size.larger, size.compared) == ((48, 48), (80, 80), 24)
    assert size.gain.value == pytest.approx(size.at_larger.value - size.at_size.value)


@pytest.mark.parametrize(
    ("goods", "defects", "said"),
    [
        (12, 3, "12 good images are too few"),
        (1, 3, "1 good image is too few"),
        (20, 0, "There is no labelled defect"),
        (20, 1, "There is one labelled defect"),
    ],
)
def test_too_few_images_get_the_advice_that_there_is(tmp_path, goods, defects, said):
    write_class(tmp_path / "good", "good", goods)
    (tmp_path / "dot").mkdir()
    write_class(tmp_path / "dot", "dot", defects)
    advice = look_over(tmp_path)
    assert (advice.labels, advice.curve, advice.suspects) == (None, None, ())
    assert said in text(advice)
    assert "A size above 48 x 48 px would add little detail" in text(advice)


def test_each_part_counts_once(tmp_path):
    """By names, and by what the samples say; 20 images of two parts."""
    write_class(tmp_path / "good", "good", 20)
    write_class(tmp_path / "dot", "dot", 3)
    said = "2 good images are too few (each part counts once)"
    assert said in text(look_over(tmp_path, group_by=r"good/(\d\d)\d"))
    dataset = open_dataset(tmp_path)
    told = [replace(one, part=str(i // 10)) for i, one in enumerate(dataset.train_normals)]
    assert said in text(look_over(replace(dataset, train_normals=tuple(told))))


def test_what_trains_from_the_test_of_a_benchmark_layout_is_said(tmp_path, whole):
    write_class(tmp_path / "train" / "good", "good", 12)
    write_class(tmp_path / "test" / "good", "good", 2)
    write_class(tmp_path / "test" / "dot", "dot", 1)
    advice = look_over(tmp_path)
    assert advice.of_test == 3
    assert "3 of them are in test/ and were trained on here" in text(advice)
    assert whole.of_test == 0
    assert "test/" not in text(whole)


def test_a_size_of_auto_is_that_of_the_images(tmp_path):
    write_class(tmp_path / "good", "good", 3)
    write_class(tmp_path / "dot", "dot", 1)
    config = tiny_config().with_image_size("auto")
    found = advise(tmp_path, backbone=TinyBackbone(), config=config, cache=None, device="cpu")
    assert found.size.size == (224, 224)


def test_folders_without_good_or_readable_images_are_refused(tmp_path):
    write_class(tmp_path / "dot", "dot", 3)
    with pytest.raises(DataError, match="Expected either good/"):
        look_over(tmp_path)
    (tmp_path / "good").mkdir()
    for path in [tmp_path / "good" / "0.png", *(tmp_path / "dot").iterdir()]:
        path.write_text("no image")
    with pytest.raises(DataError, match="None of the 4 images"):
        look_over(tmp_path)


def test_a_kind_that_the_model_hardly_sees_is_not_called_mislabelled(whole):
    hard = replace(whole, suspected={"bar": 2, "dot": 5})
    assert "5 of the 7 images of dot are among them" in text(hard)
    assert "images of bar are among them" not in text(hard)


def test_answers_are_for_the_number_that_will_train(folder, whole):
    """The curve ends there, and what more would bring starts there."""
    advice = look_over(folder, anomalies=4)
    assert [point.anomalies for point in advice.curve.points] == [0, 1, 2, 4]
    curve = advice.curve
    assert curve.five_more.value == pytest.approx(curve.doubling.value * np.log2(9 / 4))
    assert whole.curve.five_more.value == pytest.approx(
        whole.curve.doubling.value * np.log2(20 / 15)
    )
    assert "They are for a model trained on 4 defects." in text(advice)
    assert "for a model trained on" not in text(whole)
    assert advice.labels.labelled != whole.labels.labelled, "these detectors had four, too"
    assert advice.labels.memory_only == whole.labels.memory_only
    with pytest.raises(ConfigurationError, match="anomalies is 0"):
        look_over(folder, anomalies=0)
