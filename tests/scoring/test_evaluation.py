"""Evaluation by the open-set protocol."""

import shutil

import numpy as np
import pytest
from PIL import Image

from ahl import AHL
from ahl._common.errors import DataError
from ahl.data import draw_split, open_dataset
from ahl.data.masks import resized_mask
from ahl.data.with_parts import with_parts
from ahl.scoring import evaluation
from ahl.scoring.evaluation import evaluate
from ahl.scoring.localisation import PixelCounts
from small_images import blotched, write_class
from tiny import TinyBackbone, tiny_config


def train(root, **draw):
    split = draw_split(open_dataset(root), **{"anomalies": 4, "seed": 1, **draw})
    detector = AHL(backbone=TinyBackbone(), config=tiny_config(epochs=2))
    return split, detector.fit_split(split)


def pairwise_auroc(bad, good):
    return np.mean([[(b > g) + 0.5 * (b == g) for g in good] for b in bad])


def test_training_files_are_left_out_by_content(benchmark_folder, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(benchmark_folder, root)
    split, detector = train(root)
    drawn = split.anomalies[0].path
    drawn.rename(drawn.with_name("renamed.png"))
    shutil.copy(split.normals[0].path, root / "test" / "good" / "copy-of-a-training-image.png")
    result = evaluate(detector.scorer, open_dataset(root))
    tested = {one.sample.name for one in result.scored}
    assert result.left_out == 4 + 1
    assert len(tested) == 12 + 24 - 4
    assert not tested & {s.name for s in split.anomalies}
    assert not any("renamed" in name or "copy" in name for name in tested)


def test_figures_follow_their_definitions(benchmark_folder):
    split, detector = train(benchmark_folder, anomalies=2)
    result = evaluate(detector.scorer, open_dataset(benchmark_folder))
    seen = {s.class_name for s in split.anomalies}
    good = [one.score for one in result.scored if one.sample.class_name == "good"]
    bad = [one for one in result.scored if one.sample.is_anomaly]
    of_seen = [one.score for one in bad if one.sample.class_name in seen]
    of_unseen = [one.score for one in bad if one.sample.class_name not in seen]
    assert of_unseen
    assert result.auroc == pytest.approx(pairwise_auroc([one.score for one in bad], good))
    assert result.auroc_seen == pytest.approx(pairwise_auroc(of_seen, good))
    assert result.auroc_unseen == pytest.approx(pairwise_auroc(of_unseen, good))
    assert {one.sample.class_name for one in bad if one.seen} == seen
    assert next(iter(result.classes)) == "good"
    for name, one in result.classes.items():
        scores = [s.score for s in result.scored if s.sample.class_name == name]
        assert one.count == len(scores)
        if name != "good":
            assert one.auroc == pytest.approx(pairwise_auroc(scores, good))
            assert one.seen == (name in seen)


def test_the_hard_setting_tests_only_the_other_classes(benchmark_folder):
    _, detector = train(benchmark_folder, setting="hard", known_class="dot")
    result = evaluate(detector.scorer, open_dataset(benchmark_folder))
    assert set(result.classes) == {"good", "bar", "frame"}
    assert result.left_out == 4
    assert result.left_out_known_class == 4
    assert result.auroc_seen is None
    assert result.auroc_unseen == result.auroc


def test_good_images_that_set_the_threshold_are_counted(benchmark_folder):
    """Their share above it was chosen, not measured; a mislabelled anomaly is none of them."""
    split, detector = train(benchmark_folder)
    dataset = open_dataset(benchmark_folder)
    odd = next(one for one in dataset.anomalies if one not in split.anomalies)
    own = [one.path for one in dataset.test_normals[:5]]
    detector.threshold([*own, odd.path], max_false_alarm_rate=0.3)
    result = evaluate(detector.scorer, dataset)
    assert result.threshold_images == 5
    assert odd in {one.sample for one in result.scored}


def test_unreadable_images_are_reported(benchmark_folder, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(benchmark_folder, root)
    _, detector = train(root)
    (root / "test" / "good" / "bad.png").write_text("no image")
    result = evaluate(detector.scorer, open_dataset(root))
    assert [one.name for one in result.skipped] == ["test/good/bad.png"]


def test_a_fully_trained_on_folder_leaves_nothing(inspection_folder):
    _, detector = train(inspection_folder, anomalies=None)
    with pytest.raises(DataError, match="left to test"):
        evaluate(detector.scorer, open_dataset(inspection_folder))


def test_an_inspection_folder_can_be_evaluated(inspection_folder, tmp_path):
    _, detector = train(inspection_folder, anomalies=None)
    write_class(tmp_path / "good", "good", 5, first=70)
    write_class(tmp_path / "scratch", "bar", 4, first=70)
    result = evaluate(detector.scorer, open_dataset(tmp_path))
    assert result.left_out == 0
    assert result.auroc_seen is None
    assert {name: one.count for name, one in result.classes.items()} == {"good": 5, "scratch": 4}
    shutil.rmtree(tmp_path / "good")
    write_class(tmp_path / "good", "good", 1, first=200)
    shutil.rmtree(tmp_path / "scratch")
    only_good = evaluate(detector.scorer, open_dataset(tmp_path))
    assert only_good.auroc is None
    assert only_good.fpr95 is None


def test_copies_of_training_images_are_counted_and_figures_without_them_given(tmp_path):
    def save(folder, number, light=1.0):
        path = tmp_path / folder / f"{number}_{light}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(blotched(number, light)).save(path, quality=90)

    for number in range(30):
        save("train/good" if number < 20 else "test/good", number)
    for number in range(100, 108):
        save("test/dent", number)
    split, detector = train(tmp_path)
    plain = evaluate(detector.scorer, open_dataset(tmp_path))
    assert (plain.trained_parts, plain.of_new_parts) == (0, None)
    for number in (0, 3, 5):
        save("test/good", number, light=0.7)
    save("test/dent", int(split.anomalies[0].path.stem.split("_")[0]), light=0.7)
    result = evaluate(detector.scorer, open_dataset(tmp_path))
    assert result.trained_parts == 4
    assert len(result.scored) == len(plain.scored) + 4
    for name in ("auroc", "average_precision", "fpr95"):
        assert getattr(result.of_new_parts, name) == getattr(plain, name)
    assert result.conflicts == (), "copies of one label"
    save("test/dent", 3, light=0.7)  # a copy of a good training image
    trained = split.anomalies[0].path
    shutil.copy(trained, tmp_path / "test" / "good" / "same.jpg")  # the very same file
    found = {one.name: one for one in evaluate(detector.scorer, open_dataset(tmp_path)).conflicts}
    assert set(found) == {"test/dent/3_0.7.jpg", "test/good/same.jpg"}
    assert found["test/dent/3_0.7.jpg"].in_words() == (
        "test/dent/3_0.7.jpg (dent) is almost the same picture as train/good/3_1.0.jpg, which was "
        "trained on as good: one of the labels may be wrong"
    )
    assert found["test/good/same.jpg"].trained == split.anomalies[0].name
    assert result.average_precision != plain.average_precision


def test_names_tell_trained_parts(benchmark_folder):
    _, detector = train(benchmark_folder)
    # Numbers 0 to 7 are in every class: the parts of the training normals.
    result = evaluate(detector.scorer, open_dataset(benchmark_folder), group_by=r"(\d+)\.png")
    tested = [one.sample.name for one in result.scored]
    assert result.trained_parts == sum("/good/" not in name for name in tested) == 20
    assert result.of_new_parts.auroc is None, "no anomaly is left"


def test_a_model_remembers_how_names_tell_parts(benchmark_folder):
    dataset, _ = with_parts(open_dataset(benchmark_folder), group_by=r"(\w+/\d)\d\d\.png")
    split = draw_split(dataset, anomalies=1)
    detector = AHL(backbone=TinyBackbone(), config=tiny_config(epochs=2)).fit_split(split)
    assert detector.model_.manifest.group_by == r"(\w+/\d)\d\d\.png"
    result = evaluate(detector.scorer, open_dataset(benchmark_folder))
    assert result.trained_parts == 7, "the others of the drawn defect's kind"


@pytest.mark.parametrize("fate", ["changes", "vanishes"])
def test_a_file_that_is_another_behind_its_hash_is_skipped(
    benchmark_folder, tmp_path, monkeypatch, fate
):
    root = tmp_path / "data"
    shutil.copytree(benchmark_folder, root)
    _, detector = train(root)
    changing = root / "test" / "frame" / "003.png"
    hashed = evaluation.content_hash

    def then(source):
        found = hashed(source)
        if source == changing:
            changing.unlink()
            if fate == "changes":
                shutil.copy(root / "train" / "good" / "000.png", changing)
        return found

    monkeypatch.setattr(evaluation, "content_hash", then)
    result = evaluate(detector.scorer, open_dataset(root))
    reason = "it changed while it was used" if fate == "changes" else "there is no such file"
    assert [(one.name, one.reason) for one in result.skipped] == [("test/frame/003.png", reason)]
    assert not any(one.sample.name == "test/frame/003.png" for one in result.scored)


def test_heat_maps_are_measured_by_the_masks(benchmark_folder, tmp_path):
    """All pixels of tested images count but those of anomalies that have no mask to read."""
    root = tmp_path / "data"
    shutil.copytree(benchmark_folder, root)
    _, detector = train(root)
    assert evaluate(detector.scorer, open_dataset(root)).pixels is None
    masks = {}
    for path in sorted((root / "test" / "dot").iterdir()):
        mask = np.zeros((48, 48), dtype=np.bool_)
        mask[10:20, 5:15] = True
        masks[path.name] = mask
        marked = root / "ground_truth" / "dot" / f"{path.stem}_mask.png"
        marked.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(marked)
    result = evaluate(detector.scorer, open_dataset(root))
    counts = PixelCounts()
    samples = [one.sample for one in result.scored]
    for one in detector.explain([sample.source for sample in samples], heat_maps=True):
        sample = samples[one.index]
        if sample.class_name == "dot":
            counts.add(one.heat_map, resized_mask(masks[sample.path.name], one.heat_map.shape))
        elif sample.is_anomaly:
            counts.add_unmasked()
        else:
            counts.add(one.heat_map, None)
    assert result.pixels == counts.figures()
    assert result.pixels.masked == sum(sample.class_name == "dot" for sample in samples)
    assert result.pixels.unmasked > 0
