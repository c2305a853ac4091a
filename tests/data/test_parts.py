"""Parts are told by names, and by copies."""

import numpy as np
import pytest
from PIL import Image

from ahl._common.callbacks import Callback
from ahl._common.errors import ConfigurationError
from ahl.data import open_dataset
from ahl.data.images.sources import LabelledImage
from ahl.data.parts import number_parts, part_of, tell_parts, with_copies_together
from ahl.data.with_parts import with_parts
from small_images import blotched


@pytest.fixture
def root(tmp_path):
    """Two exposures of each of ten good tiles, and two defects of which one is tile 3's copy."""
    random = np.random.default_rng(0)
    for folder in ("good", "dent"):
        (tmp_path / folder).mkdir()

    def save(pixels, name):
        noisy = np.clip(pixels + random.normal(0, 2, pixels.shape), 0, 255)
        Image.fromarray(noisy.astype(np.uint8)).save(tmp_path / name)

    for number in range(10):
        save(blotched(number), f"good/exp1_tile{number}.png")
        save(blotched(number, 0.6), f"good/exp2_tile{number}.png")
    save(blotched(3), "dent/a.png")
    save(blotched(77), "dent/b.png")
    return tmp_path


def parts(dataset):
    samples = (*dataset.train_normals, *dataset.anomalies)
    return {one.name: one.part for one in samples}


def test_numbers_are_equal_for_one_part_and_new_for_none():
    assert number_parts(["a", None, "b", "a", None, "b"]).tolist() == [0, 1, 2, 0, 3, 2]
    assert number_parts([]).tolist() == []


def test_the_part_is_the_first_group_or_the_whole_match():
    assert part_of("good/exp1_num_7.jpg", r"exp\d_(num_\d+)") == "num_7"
    assert part_of("good/exp1_num_7.jpg", r"num_\d+") == "num_7"
    assert part_of("good/x.jpg", r"num_\d+") is None
    assert part_of("good/x.jpg", r"(num)?x") is None
    with pytest.raises(
        ConfigurationError, match=r"group_by is '\('; expected a regular expression"
    ):
        part_of("x", "(")


def test_exposures_are_copies_and_a_contradiction_is_named(root):
    dataset, found = with_parts(open_dataset(root), Callback())
    told = parts(dataset)
    for number in range(10):
        assert told[f"good/exp1_tile{number}.png"] == told[f"good/exp2_tile{number}.png"]
    assert len({*told.values()} - {None}) == 10
    assert told["dent/a.png"] == told["good/exp1_tile3.png"]
    assert told["dent/b.png"] is None
    assert (found.shared, found.unmatched, found.across) == (21, None, ())
    assert {c.one for c in found.contradictions} == {"dent/a.png"}
    text = " ".join(found.notes("stay in one fold"))
    assert "21 of 22 images share their part with others: photographs of one part stay" in text
    assert "labelled good and defect" in text
    assert "dent/a.png = good/exp1_tile3.png (dent, good)" in text


def test_names_tell_parts_before_copies_do(root):
    dataset, found = with_parts(open_dataset(root), Callback(), group_by=r"exp\d_(tile\d)")
    told = parts(dataset)
    assert told["good/exp1_tile3.png"] == told["good/exp2_tile3.png"] == "tile3"
    assert told["dent/a.png"] is None, "a copy does not take the part of another's name"
    assert (found.shared, found.unmatched) == (20, 2)
    assert {copy.one for copy in found.across} == {"dent/a.png"}
    text = " ".join(found.notes("stay in one fold"))
    assert "The names of 2 of 22 images do not match --group-by" in text
    assert "are of different parts by --group-by" in text
    assert dataset.group_by == r"exp\d_(tile\d)"


def test_a_part_that_is_known_is_not_told_by_names():
    images = [
        LabelledImage(source="", name="tile1", class_name="good", part=part)
        for part in ("known", "copies of a", None)
    ]
    assert [one.part for one in tell_parts(images, r"tile\d")] == ["known", "tile1", "tile1"]


def test_copies_found_later_join_those_found_before():
    images = [
        LabelledImage(source="", name=name, class_name="good", part=part)
        for name, part in (
            ("a", "copies of a"),
            ("b", "copies of a"),
            ("c", None),
            ("d", "told"),
            ("e", None),
            ("f", "copies of x"),
        )
    ]
    joined = with_copies_together(images, [(1, 2), (2, 3), (3, 4)])
    parts = [image.part for image in joined]
    assert parts == ["copies of a", "copies of a", "copies of a", "told", None, "copies of x"]


def test_every_name_a_part_of_its_own_keeps_nothing_together(root):
    dataset, found = with_parts(open_dataset(root), Callback(), group_by=".*")
    assert found.shared == 0
    assert len(set(parts(dataset).values())) == 22


def test_an_unreadable_image_stands_alone(root):
    (root / "good" / "bad.png").write_text("no image")
    dataset, found = with_parts(open_dataset(root), Callback())
    assert parts(dataset)["good/bad.png"] is None
    assert len(found.pictures) == 22
