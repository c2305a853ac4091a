"""Original sizes, feature cells and masks."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from ahl._common.callbacks import Callback
from ahl.apps.advise import image_size
from ahl.apps.advise.figures import Ranking
from ahl.apps.advise.image_size import advise_size, compare_sizes, larger_size
from ahl.apps.advise.trials import Setup
from ahl.data import open_dataset
from ahl.data.pictures import look_at


@pytest.fixture
def folder(tmp_path):
    for name in ("good", "line", "ground_truth/line"):
        (tmp_path / name).mkdir(parents=True)
    for number in range(3):
        Image.new("L", (400, 100), 90 + number).save(tmp_path / "good" / f"{number}.png")
    for number, thickness in enumerate((3, 20)):
        Image.new("L", (400, 100), 50 + number).save(tmp_path / "line" / f"{number}.png")
        mask = np.zeros((100, 400), np.uint8)
        mask[40 : 40 + thickness, 50:350] = 255
        Image.fromarray(mask).save(tmp_path / "ground_truth" / "line" / f"{number}_mask.png")
    return tmp_path


def advice(root, size):
    dataset = open_dataset(root)
    pictures, _ = look_at([*dataset.train_normals, *dataset.anomalies], Callback())
    return advise_size(pictures, (size, size), (5, 10))


def test_a_cell_is_told_in_original_pixels(folder):
    found = advice(folder, 100)
    assert (found.width, found.height, found.cell) == (400, 100, (40.0, 20.0))
    assert found.originals_larger
    assert found.verdict == "cannot tell"


def test_a_size_above_the_originals_is_enough(folder):
    found = advice(folder, 200)
    assert not found.originals_larger
    assert found.verdict == "yes"


def test_masks_tell_how_thin_defects_become(folder):
    masked = advice(folder, 100).masked
    # 400 x 100 pixels are as many as 200 x 200: lines of 3 and 20 pixels become half as thick.
    assert masked.count == 2
    assert masked.thickness == pytest.approx((1.5 + 10) / 2, abs=0.6)
    assert (masked.too_thin, masked.too_thin_larger) == (1, 1)
    larger = advice(folder, 140).masked
    assert (larger.too_thin, larger.too_thin_larger) == (0, 0)


def test_defects_smaller_than_a_cell_are_counted(folder):
    mask = np.zeros((100, 400), np.uint8)
    mask[40:58, 50:88] = 255  # a cell of the 5 x 10 map is 20 x 40 pixels
    Image.fromarray(mask).save(folder / "ground_truth" / "line" / "0_mask.png")
    assert advice(folder, 100).masked.below_cell == 1


def test_masks_of_another_size_and_no_masks_are_left_out(folder):
    Image.new("L", (4, 4), 255).save(folder / "ground_truth" / "line" / "0_mask.png")
    assert advice(folder, 100).masked.count == 1
    for path in (folder / "ground_truth" / "line").iterdir():
        path.write_text("no image")
    assert advice(folder, 100).masked is None


@pytest.mark.parametrize(
    ("at_size", "at_larger", "verdict"),
    [(0.5, 1.0, "no"), (1.0, 0.5, "yes"), (1.0, 1.0, "cannot tell")],
)
def test_a_size_is_enough_if_a_larger_one_surely_brings_little(
    folder, monkeypatch, at_size, at_larger, verdict
):
    labels = np.repeat([False, True], 30)
    known, larger = (Ranking(labels, np.where(labels, s, 1 - s)) for s in (at_size, at_larger))
    setup = Setup(
        backbone=None,
        config=SimpleNamespace(with_image_size=lambda size: None),
        detector=None,
        seed=0,
        device=None,
        cache=None,
        callback=Callback(),
    )
    trials = SimpleNamespace(
        setup=setup, samples=labels, anomalous=labels, groups=labels, labelled=None
    )
    trials.part, trials.random = lambda chosen: trials, lambda what: np.random.default_rng(0)
    monkeypatch.setattr(image_size, "open_trials", lambda *given: nullcontext(trials))
    monkeypatch.setattr(image_size, "out_of_fold", lambda *given: larger)
    found = compare_sizes(advice(folder, 100), trials, known)
    assert found.verdict == verdict


def test_the_next_size_is_a_multiple_of_32():
    assert [larger_size((n, n))[0] for n in (32, 48, 224, 320)] == [64, 80, 320, 448]
    assert larger_size((448, 224)) == (640, 320)
