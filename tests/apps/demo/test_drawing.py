"""The drawn dataset: layout, determinism, and defects that are local and real."""

import numpy as np
import pytest
from PIL import Image

from ahl._common.errors import ConfigurationError
from ahl.apps.demo.drawing import DEFECTS, SEEN_CLASSES, UNSEEN_CLASSES, draw_dataset, draw_part

SMALL = {"size": 64, "train_good": 3, "train_per_class": 2, "test_good": 2, "test_per_class": 1}


def files_of(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.png")}


def test_layout_and_counts(tmp_path):
    draw_dataset(tmp_path, **SMALL)
    expected = [f"train/good/{number:03d}.png" for number in range(3)]
    expected += [f"train/{name}/{number:03d}.png" for name in SEEN_CLASSES for number in range(2)]
    expected += ["test/good/000.png", "test/good/001.png"]
    expected += [f"test/{name}/000.png" for name in SEEN_CLASSES + UNSEEN_CLASSES]
    assert sorted(files_of(tmp_path)) == sorted(expected)
    with Image.open(tmp_path / "test/crack/000.png") as image:
        assert image.size == (64, 64)
        assert image.mode == "RGB"


def test_every_defect_is_a_class_and_unseen_means_unseen():
    assert set(SEEN_CLASSES) | set(UNSEEN_CLASSES) == set(DEFECTS)
    assert not set(SEEN_CLASSES) & set(UNSEEN_CLASSES)


def test_same_seed_same_bytes_other_seed_other_bytes(tmp_path):
    for folder, seed in (("a", 4), ("b", 4), ("c", 5)):
        draw_dataset(tmp_path / folder, seed=seed, **SMALL)
    first, again, other = (files_of(tmp_path / folder) for folder in "abc")
    assert first == again
    assert first.keys() == other.keys()
    assert all(first[name] != other[name] for name in first)


def test_no_two_images_of_a_dataset_are_equal(tmp_path):
    draw_dataset(tmp_path, **SMALL)
    images = files_of(tmp_path)
    assert len(set(images.values())) == len(images)


def test_more_images_keep_the_first_good_ones(tmp_path):
    draw_dataset(tmp_path / "few", **SMALL)
    draw_dataset(tmp_path / "many", **{**SMALL, "train_good": 5})
    few, many = files_of(tmp_path / "few"), files_of(tmp_path / "many")
    assert all(many[name] == data for name, data in few.items())


@pytest.mark.parametrize("severity", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_changes_a_small_part_of_the_same_plate(defect, severity):
    for number in range(6):
        seed = (11, number)
        good = draw_part(seed, size=128).astype(int)
        bad = draw_part(seed, size=128, defect=defect, severity=severity).astype(int)
        change = np.abs(bad - good).max(axis=2)
        changed = change > 0
        assert change.max() >= 10, "the defect cannot be seen"
        assert 4 <= changed.sum() <= 0.15 * changed.size
        # Local: the changed pixels lie together, not all over the picture.
        rows, columns = np.nonzero(changed)
        assert min(np.ptp(rows), np.ptp(columns)) < 0.6 * 128


@pytest.mark.parametrize("defect", DEFECTS)
def test_severe_defects_change_more(defect):
    def amount(severity):
        return sum(
            np.abs(
                draw_part((12, number), size=128, defect=defect, severity=severity).astype(int)
                - draw_part((12, number), size=128)
            ).sum()
            for number in range(8)
        )

    assert amount(1.0) > 1.5 * amount(0.0)


def test_normal_panels_form_three_lots():
    # Colour cast and brightness of bare metal tell the lots apart without a label.
    means = np.array(
        [draw_part((13, n), size=64)[20:44, 2:10].mean(axis=(0, 1)) for n in range(40)]
    )
    cast = (means[:, 0] - means[:, 2]) / means.mean(axis=1)
    warm, dark = cast > 0, cast < -0.075
    assert min(warm.sum(), dark.sum(), (~warm & ~dark).sum()) >= 4


@pytest.mark.parametrize("size", [64, 97, 300])
def test_any_size(size):
    assert draw_part((1,), size=size, defect="crack").shape == (size, size, 3)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"size": 63}, "size"),
        ({"severity": 1.5, "defect": "dent"}, "severity"),
        ({"defect": "rust"}, "rust"),
    ],
)
def test_wrong_options_are_named(arguments, name):
    with pytest.raises(ConfigurationError, match=name):
        draw_part((0,), **arguments)


def test_full_size_files_stay_small(tmp_path):
    counts = {"train_good": 3, "train_per_class": 1, "test_good": 0, "test_per_class": 0}
    draw_dataset(tmp_path, **counts)
    sizes = [len(data) for data in files_of(tmp_path).values()]
    assert max(sizes) < 110_000
    assert np.mean(sizes) < 80_000
