"""Text for people."""

import math

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from ahl._common.text import counted, digits, first_line, listed, literal, megabytes, printable
from ahl.apps.cli import main
from small_images import write_class


def test_nouns_follow_their_number():
    assert [counted(n, "good image") for n in (0, 1, 2)] == [
        "0 good images",
        "1 good image",
        "2 good images",
    ]
    assert (counted(1, "anomaly"), counted(3000, "anomaly")) == ("1 anomaly", "3,000 anomalies")


def test_verbs_follow_their_number():
    assert (counted(1, "image", "were"), counted(2, "image", "were")) == (
        "1 image was",
        "2 images were",
    )


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "-"),
        (math.nan, "-"),
        (0.99961, "0.999"),
        (1.0, "1.000"),
        (0.98765, "0.988"),
        (-0.5, "-0.500"),
    ],
)
def test_only_what_is_perfect_reads_as_one(value, words):
    assert digits(value) == words


@given(st.floats(0, 1))
def test_no_share_below_one_reads_as_one(value):
    assert (digits(value) == "1.000") == (value == 1)


def test_a_figure_may_have_fewer_places():
    assert (digits(0.996, 2), digits(0.75, 1)) == ("0.99", "0.8")


def test_sizes_are_in_megabytes():
    assert megabytes(12_345_678) == "12.3 MB"


def test_an_error_is_told_by_its_first_line():
    assert first_line(ValueError("\n no space\nand more")) == "no space"
    assert first_line(ValueError("")) == "ValueError"
    assert first_line(ValueError("x" * 300)) == "x" * 200 + "..."


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4", 4),
        (" 1e-9 ", 1e-9),
        ("False", False),
        ("None", None),
        ("(1, 2)", (1, 2)),
        ("'4'", "4"),
        (" k-means ", "k-means"),
        ("", ""),
        ("(" * 10_000, "(" * 10_000),
    ],
)
def test_what_is_no_literal_is_text(text, value):
    assert literal(text) == value
    assert type(literal(text)) is type(value)


@given(st.text())
def test_any_text_is_read(text):
    literal(text)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("part 1.png", "part 1.png"),
        ("größe.png", "größe.png"),
        ("a\x1b[2Jb\n", "a\ufffd[2Jb\ufffd"),
        ("\udcff", "\ufffd"),
    ],
)
def test_control_characters_and_halves_are_replaced(words, shown):
    assert printable(words) == shown
    assert printable(words, "?") == shown.replace("\ufffd", "?")


def test_many_names_are_six_and_a_number():
    assert listed([]) == ""
    assert listed(list("abcdef")) == "a, b, c, d, e, f"
    assert listed(["a\n", *"bcdefgh"]) == "a\ufffd, b, c, d, e, f and 2 more"


def test_predictions_for_people_show_names_as_they_are(model, tmp_path):
    (path,) = write_class(tmp_path, "good", 1)
    hostile = path.with_name("a\x1b[2Jb.png")
    path.rename(hostile)
    shown = CliRunner().invoke(main, ["predict", str(model), str(hostile)]).output
    assert "\x1b" not in shown
    assert "a\ufffd[2Jb.png" in shown
