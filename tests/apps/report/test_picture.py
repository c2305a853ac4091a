"""The picture of an evaluation: what it says, and every odd input it must survive."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ahl._common.types import Sample, ScoredSample
from ahl.apps.report.picture import draw_picture
from ahl.apps.report.ranking import (
    group,
    line_of_normals,
    share,
    usable,
    worst_false_alarms,
    worst_misses,
)
from ahl.apps.report.sheet import Sheet
from ahl.apps.report.strip import make_axis, short_number, swarm
from ahl.apps.report.thumbnails import read_tile


def make(class_name, *scores, seen=False, path=Path("missing.png")):
    return [
        ScoredSample(
            sample=Sample(path=path, name=f"{class_name}/{number:03d}.png", class_name=class_name),
            score=float(score),
            seen=seen,
        )
        for number, score in enumerate(scores)
    ]


@pytest.fixture
def said(monkeypatch):
    """Every line of text that was put on a sheet."""
    lines = []
    original = Sheet.text

    def listen(self, x, y, words, **options):
        lines.append(words)
        original(self, x, y, words, **options)

    monkeypatch.setattr(Sheet, "text", listen)
    return lines


def draw(tmp_path, scored, **options):
    output = tmp_path / "picture.png"
    draw_picture(scored, output, title="Plates", **options)
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []
    with Image.open(output) as image:
        image.load()
        assert image.width == 1600
        assert image.mode == "RGB"
        return np.asarray(image)


class TestPicture:
    def test_it_says_what_was_measured(self, tmp_path, said):
        scored = make("good", 0, 1, 2, 3) + make("dent", 5, 6, seen=True) + make("oil", 0.5, 9)
        draw(tmp_path, scored, subtitle="model A")
        text = "\n".join(said)
        assert said[:2] == ["Plates", "model A"]
        assert said.index("good") < said.index("dent") < said.index("oil")
        assert {"1.000", "0.625", "0.812"} <= set(said)  # seen, unseen, all
        assert "4 normal images, 4 anomalies" in text
        assert "unseen class, score 0.5\nbelow 75 % of normal images\noil/000.png" in text
        assert "good/003.png\nscore 3\nabove 25 % of anomalies" in text

    def test_the_order_given_does_not_matter_and_bytes_repeat(self, tmp_path):
        scored = make("good", *range(9)) + make("dent", 4, 4, 8, seen=True)
        for number, order in enumerate((scored, scored, scored[::-1])):
            draw_picture(order, tmp_path / f"{number}.png", title="t")
        data = [(tmp_path / f"{number}.png").read_bytes() for number in range(3)]
        assert data[0] == data[1] == data[2]

    @pytest.mark.parametrize(
        "scored",
        [
            [],
            make("good", 1),
            make("good", 1, 2, 3),
            make("dent", 1, 2, 3),
            make("dent", 1, 2, seen=True) + make("oil", 3),
            make("good", 7, 7, 7) + make("dent", 7, 7),
            make("good", 0, 0) + make("dent", 0),
            make("good", math.nan, math.inf) + make("dent", -math.inf),
            make("good", 1e-300, 1e300, 0) + make("dent", -1.7e308, 1.7e308),
            make("good", 1e9, 1e9 + 1e-6) + make("dent", 1e9 + 2e-6),
            make("dent", 1, seen=True) + make("dent", 2, seen=False),
        ],
        ids=[
            "empty", "one", "no anomalies", "no normals", "no normals, two kinds", "equal",
            "all zero", "not finite", "vast", "nearly equal", "one class of both kinds",
        ],
    )  # fmt: skip
    def test_odd_scores(self, tmp_path, scored):
        draw(tmp_path, scored)

    def test_no_normals_gives_no_figures(self, tmp_path, said):
        draw(tmp_path, make("dent", 1, 2))
        assert said.count("n/a") == 4  # three figures and the class's own
        assert "There are no normal images among these." in said

    def test_the_models_threshold_is_the_line_where_there_is_one(self, tmp_path, said):
        scored = make("good", 0, 1, 2, 3) + make("dent", 2.5, 6)
        draw(tmp_path, scored)
        assert "at most 5 % of normal images lie above this line" in said
        assert said.count("0 %") == 1
        said.clear()
        draw(tmp_path, scored, threshold=1.5)
        assert "the model's threshold" in said
        assert {"50 %", "100 %"} <= set(said)
        assert not [words for words in said if "this line" in words]
        draw(tmp_path, make("dent", 1, 2), threshold=1e9)  # far off, and without normals

    def test_images_without_a_finite_score_are_counted(self, tmp_path, said):
        draw(tmp_path, make("good", 1, math.nan) + make("dent", 2, math.inf))
        assert "2 images without a finite score left out" in said

    def test_many_classes_and_images(self, tmp_path):
        rng = np.random.default_rng(0)
        scored = make("good", *rng.normal(size=3500))
        for number in range(30):
            scored += make(f"class {number}", *rng.normal(1, 2, size=50), seen=number < 9)
        few = draw(tmp_path, scored[:3550])
        assert few.shape[0] < draw(tmp_path, scored).shape[0] < 4000

    @pytest.mark.parametrize(
        "name",
        ["x" * 300, "a$b_{c", "\\frac", "裂纹", "two\nlines\t", "\udcff broken", "", "🙂" * 40],
    )
    def test_class_names_of_any_kind(self, tmp_path, name):
        draw_picture(
            make("good", 1, 2) + make(name, 3, 4), tmp_path / "p.png", title=name, subtitle=name
        )

    def test_a_long_name_stays_off_the_strip(self, tmp_path):
        short = draw(tmp_path, make("good", 1, 2) + make("dent", 3))
        long = draw(tmp_path, make("good", 1, 2) + make("W" * 200, 3))
        strips = slice(280, 430)
        np.testing.assert_array_equal(short[strips, 330:], long[strips, 330:])

    def test_thumbnails_show_the_files(self, tmp_path):
        path = tmp_path / "red.png"
        Image.new("RGB", (40, 40), (200, 10, 20)).save(path)
        pixels = draw(tmp_path, make("good", 1) + make("dent", 2, path=path))
        assert (pixels == (200, 10, 20)).all(axis=2).sum() > 200 * 200

    def test_the_folder_is_made_and_an_old_picture_replaced(self, tmp_path):
        output = tmp_path / "a" / "b" / "out.png"
        output.parent.mkdir(parents=True)
        output.write_bytes(b"old")
        draw_picture(make("good", 1), output, title="t")
        assert output.read_bytes().startswith(b"\x89PNG")
        draw_picture(make("good", 1), tmp_path / "new" / "out", title="no suffix needed")
        assert (tmp_path / "new" / "out").read_bytes().startswith(b"\x89PNG")

    def test_a_failed_write_leaves_the_old_picture_and_nothing_else(self, tmp_path, monkeypatch):
        output = tmp_path / "out.png"
        output.write_bytes(b"old")

        def fail(self, target, **options):
            Path(target).write_bytes(b"half")
            raise OSError("disk full")

        monkeypatch.setattr(Image.Image, "save", fail)
        with pytest.raises(OSError, match="disk full"):
            draw_picture(make("good", 1), output, title="t")
        assert output.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [output]

    def test_pyplot_is_never_touched(self, tmp_path):
        before = "matplotlib.pyplot" in sys.modules
        draw(tmp_path, make("good", 1))
        assert ("matplotlib.pyplot" in sys.modules) == before


class TestRanking:
    def test_groups_come_normal_seen_unseen_then_best_first(self):
        scored = make("weak", 1) + make("good", 0, 2) + make("strong", 3) + make("x", 0, seen=True)
        groups = group(usable(scored))
        assert [one.name for one in groups] == ["good", "x", "strong", "weak"]
        assert [one.auroc for one in groups] == [None, 0.25, 1.0, 0.5]

    def test_misses_and_alarms_in_words(self):
        scored = make("good", *range(10)) + make("dent", 4.5, -1, 20)
        misses = worst_misses(scored, 5)
        assert [one.scored.score for one in misses] == [-1, 4.5, 20]
        assert [one.standing for one in misses] == [
            "below all normal images",
            "below 50 % of normal images",
            "above every normal image",
        ]
        alarms = worst_false_alarms(scored, 1)
        assert alarms[0].scored.score == 9
        assert alarms[0].standing == "above 67 % of anomalies"

    def test_ties_are_called_ties(self):
        scored = make("good", 1, 1, 0) + make("dent", 1)
        assert worst_misses(scored, 1)[0].standing == "equals 67 % of normal images"
        assert worst_false_alarms(scored, 1)[0].standing == "equals all anomalies"

    def test_nothing_to_compare_with(self):
        assert worst_misses(make("dent", 1), 1)[0].standing == ""

    @pytest.mark.parametrize(
        ("part", "whole", "words"),
        [(0, 9, "0 %"), (9, 9, "100 %"), (1, 999, "< 1 %"), (998, 999, "> 99 %"), (1, 8, "12 %")],
    )
    def test_share_never_rounds_to_none_or_all(self, part, whole, words):
        assert share(part, whole) == words

    @given(st.lists(st.integers(0, 5) | st.floats(-9, 9), min_size=1, max_size=60))
    def test_at_most_five_per_cent_of_normals_lie_above_the_line(self, scores):
        line = line_of_normals(make("good", *scores))
        assert sum(score > line for score in scores) <= 0.05 * len(scores)


class TestStrip:
    @given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=40))
    def test_the_axis_keeps_the_order_of_any_scores(self, scores):
        axis = make_axis(scores)
        places = axis.place(sorted(scores))
        assert ((places >= 0) & (places <= 1)).all()
        assert (np.diff(places) >= 0).all()
        ticks = axis.ticks()
        assert all(0 <= place <= 1 for place, _ in ticks)
        assert len(ticks) <= 20

    def test_far_scores_do_not_squash_the_rest(self):
        rng = np.random.default_rng(0)
        usual = rng.normal(size=500)
        assert not make_axis(usual).compressed
        axis = make_axis([*usual, 1e6, -3e40])
        assert axis.compressed
        assert np.ptp(axis.place(usual)) > 0.15
        labels = [label for _, label in axis.ticks()]
        assert len(labels) >= 4
        assert len(set(labels)) == len(labels)

    def test_ticks_are_round(self):
        assert [label for _, label in make_axis([0, 4]).ticks()] == ["0", "1", "2", "3", "4"]

    @given(
        st.lists(st.floats(0, 800), max_size=300),
        st.sampled_from([5.0, 8.0]),
        st.floats(20, 80),
    )
    def test_dots_stay_in_their_strip_and_apart_where_there_is_room(self, places, dot, room):
        offsets = swarm(np.array(places), dot, room)
        assert offsets.shape == (len(places),)
        assert (np.abs(offsets) + dot / 2 <= room / 2 + 1e-9).all()
        cells = np.floor(np.array(places) / dot)
        assert len(set(zip(cells, offsets, strict=True))) == len(places)

    @pytest.mark.parametrize(
        ("value", "words"),
        [(1234.0, "1230"), (0.5, "0.5"), (-0.0, "0"), (2e-9, "2e-09"), (3e12, "3e+12")],
    )
    def test_numbers_read_well(self, value, words):
        assert short_number(value) == words


class TestTiles:
    def test_the_whole_image_is_kept(self, tmp_path):
        path = tmp_path / "wide.png"
        Image.new("RGB", (300, 100), (0, 0, 250)).save(path)
        tile, readable = read_tile(path, 90)
        assert readable
        assert tile.shape == (90, 90, 3)
        assert (tile == (0, 0, 250)).all(axis=2).sum() == 90 * 30

    @pytest.mark.parametrize("data", [None, b"", b"not a picture", b"\x89PNG\r\n\x1a\n1234"])
    def test_what_cannot_be_read_is_grey(self, tmp_path, data):
        path = tmp_path / "broken.png"
        if data is not None:
            path.write_bytes(data)
        tile, readable = read_tile(path, 50)
        assert not readable
        assert len(np.unique(tile.reshape(-1, 3), axis=0)) == 1

    @pytest.mark.parametrize("path", [Path(), Path("a\0b")])
    def test_paths_that_are_no_files(self, path):
        assert not read_tile(path, 20)[1]
