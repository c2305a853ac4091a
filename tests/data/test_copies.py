"""Exact copies and photographs saved anew."""

import io

import numpy as np
import pytest
from PIL import Image

from ahl._common.callbacks import Callback
from ahl._common.types import Sample
from ahl.data import likeness as module
from ahl.data.copies import Copy, find_copies, groups_of_copies, linked
from ahl.data.pictures import look_at


def photograph(number):
    """A striped part, alike in all images but for the phase, under blotches of its own."""
    random = np.random.default_rng(number)
    stripes = 30 * np.sin(np.arange(200) * 0.3 + random.uniform(0, 6.28))[:, None]
    blotches = Image.fromarray(random.integers(90, 160, (25, 25), dtype=np.uint8))
    pixels = np.asarray(blotches.resize((200, 200)), dtype=float) + stripes
    pixels += random.normal(0, 3, pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).convert("RGB")


def saved_anew(image, kind):
    width, height = image.size
    if kind == "small":
        image = image.resize((width * 4 // 5, height * 4 // 5))
    if kind == "bright":
        image = image.point(lambda value: min(255, int(value * 1.08 + 5)))
    if kind == "cut":
        image = image.crop((3, 2, width, height))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=60)
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path):
    for number in range(24):
        photograph(number).save(tmp_path / f"{number:02d}.png")
    return tmp_path


def found(folder, defects=()):
    samples = [
        Sample(path=path, name=path.name, class_name="dot" if path.name in defects else "good")
        for path in sorted(folder.iterdir())
    ]
    pictures, skipped = look_at(samples, Callback())
    assert not skipped
    return find_copies(pictures, Callback())


def test_parts_with_one_pattern_are_no_copies(folder):
    result = found(folder)
    assert result.copies == ()
    assert result.pairs == ()


@pytest.mark.parametrize("kind", ["again", "small", "bright", "cut"])
def test_photographs_saved_anew_are_found_and_no_others(folder, kind):
    for number in (3, 7, 20):
        (folder / f"c{number:02d}.jpg").write_bytes(saved_anew(photograph(number), kind))
    result = found(folder, defects=("c03.jpg", "c07.jpg", "20.png", "c20.jpg"))
    pairs = {(copy.one, copy.other): copy.where for copy in result.copies}
    assert pairs == {
        ("03.png", "c03.jpg"): "good and defect",
        ("07.png", "c07.jpg"): "good and defect",
        ("20.png", "c20.jpg"): "within defects",
    }
    assert [copy.where for copy in result.copies][-1] == "within defects"  # contradictions first
    assert not any(copy.exact for copy in result.copies)
    assert len(set(linked(27, result.pairs).tolist())) == 24


def test_equal_pixels_in_other_files_are_exact(folder):
    photograph(5).save(folder / "x.bmp")
    photograph(5).save(folder / "y.bmp")
    result = found(folder)
    assert [(copy.one, copy.other, copy.exact, copy.likeness) for copy in result.copies] == [
        ("05.png", "x.bmp", True, 1.0),
        ("05.png", "y.bmp", True, 1.0),
    ]
    assert [copy.where for copy in result.copies] == ["within good"] * 2
    groups = linked(26, result.pairs).tolist()
    assert groups[5] == groups[-1] == groups[-2]
    assert len(set(groups)) == 24


def test_chunks_change_nothing(folder, monkeypatch):
    (folder / "c.jpg").write_bytes(saved_anew(photograph(1), "again"))
    whole = found(folder).copies
    monkeypatch.setattr(module, "_CHUNK", 7)
    assert found(folder).copies == whole != ()


def test_blank_images_and_few_images_are_no_trouble(tmp_path):
    for number in range(12):
        Image.new("L", (30, 30), 100 + number).save(tmp_path / f"{number:02d}.png")
    assert found(tmp_path).copies == ()
    for path in sorted(tmp_path.iterdir())[1:]:
        path.unlink()
    assert found(tmp_path).copies == ()


def test_what_cannot_be_read_is_named(tmp_path):
    (tmp_path / "bad.png").write_text("no image")
    photograph(0).save(tmp_path / "fine.png")
    samples = [
        Sample(path=path, name=path.name, class_name="good") for path in sorted(tmp_path.iterdir())
    ]
    pictures, skipped = look_at(samples, Callback())
    assert [picture.sample.name for picture in pictures] == ["fine.png"]
    assert [one.name for one in skipped] == ["bad.png"]
    assert (pictures[0].width, pictures[0].height) == (200, 200)


def pair(one, other, where):
    classes = {"good and defect": ("good", "dot"), "within good": ("good", "good")}[where]
    return Copy(
        one=one,
        other=other,
        one_class=classes[0],
        other_class=classes[1],
        exact=True,
        likeness=1.0,
        where=where,
    )


def test_pairs_that_share_an_image_are_one_group():
    good = "within good"
    pairs = [pair("d", "e", good), pair("b", "c", good), pair("a", "c", good)]
    assert [(g.names, g.where) for g in groups_of_copies(pairs)] == [
        (("a", "b", "c"), good),
        (("d", "e"), good),
    ]
    first, second = groups_of_copies([*pairs, pair("e", "f", "good and defect")])
    assert (first.names, first.where) == (("d", "e", "f"), "good and defect")
    assert second.names == ("a", "b", "c")
    assert groups_of_copies([]) == []
