"""What is read of a review, whatever stands in its log."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahl._common.errors import ConfigurationError, DataError
from ahl.pipeline.feedback.answers import LOG, Answer, check_kind, read_answers

MARK = Answer(
    time="2026-01-01T00:00:00.000+00:00",
    sha256="ab" * 32,
    suffix=".png",
    name="a.png",
    class_name="dot",
    score=1.0,
    probability=0.4,
    verdict="uncertain",
    anomalous=False,
    model="cd" * 32,
)


def write(folder, *answers, text=""):
    for answer in answers:
        path = folder / answer.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (folder / LOG).write_text("".join(answer.line() for answer in answers) + text)


def test_the_last_word_on_an_image_counts(tmp_path):
    other = dataclasses.replace(MARK, sha256="ef" * 32, name="line\u2028\nend\x85")
    changed = dataclasses.replace(MARK, class_name="good")
    write(tmp_path, MARK, other, changed)
    assert read_answers(tmp_path) == [other, changed]
    (tmp_path / changed.file).unlink()
    assert read_answers(tmp_path) == [other, changed], "it has not moved yet"
    (tmp_path / MARK.file).unlink()
    assert read_answers(tmp_path) == [other]


@pytest.mark.parametrize(
    ("anomalous", "probability", "outcomes"),
    [
        (True, 0.4, ("right", "false_alarm")),
        (False, 0.6, ("missed", "right")),
        (None, 0.6, ("right", "false_alarm")),
        (None, 0.4, ("missed", "right")),
        (None, None, ("missed", "false_alarm")),  # nobody knows: it is taught
    ],
)
def test_how_the_model_did(anomalous, probability, outcomes):
    for class_name, outcome in zip(("dot", "good"), outcomes, strict=True):
        answer = dataclasses.replace(
            MARK, class_name=class_name, anomalous=anomalous, probability=probability
        )
        assert answer.outcome == outcome


@pytest.mark.parametrize(
    "changed",
    [
        {"class_name": ".."},
        {"class_name": "../x"},
        {"class_name": " dot"},
        {"sha256": "../" + "a" * 61},
        {"suffix": "/../../x"},
        {"score": float("nan")},
        {"score": "1"},
        {"probability": 2},
        {"verdict": "perhaps"},
        {"anomalous": "no"},
        {"name": None},
        {"more": 1},
    ],
)
def test_lines_that_are_no_answers_are_left_out(tmp_path, changed):
    line = json.dumps(dataclasses.asdict(MARK) | changed)
    nested = "[" * 100_000
    write(tmp_path, MARK, text=f"{line}\n[]\nnull\n{nested}\n{MARK.line()[:40]}")
    assert read_answers(tmp_path) == [MARK]


def test_a_folder_that_is_none(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(DataError, match="feedback-dir"):
            read_answers(folder)


@pytest.mark.parametrize(
    "kind", ["dot", "a b", "Riß", "v1.2", "0", "x" * 64, "\U00020000" * 63, " dot "]
)
def test_kinds(kind):
    assert check_kind(kind) == kind.strip()


@given(st.text() | st.from_regex(r"[./\\~ \w]{1,8}", fullmatch=True))
def test_no_kind_leads_out_of_the_folder(tmp_path_factory, kind):
    try:
        name = check_kind(kind)
    except ConfigurationError:
        return
    root = tmp_path_factory.getbasetemp() / "root"
    assert (root / name).resolve().parent == root.resolve()
    assert name.casefold() != "good"
    assert not name.startswith(".")
    assert name == check_kind(name)


@pytest.mark.parametrize(
    "kind",
    [
        *("", " ", ".", "..", "a/b", "a\\b", "/a", "a\0", "a\nb", "-a", ".a", "a.", "x" * 65),
        "\U00020000" * 64,  # 256 bytes, more than a folder's name may have
        *("good", "Good", "GOOD ", "ground_truth", "con", "NUL", "com1.x", "marks.jsonl", "a:b"),
    ],
)
def test_names_that_are_no_kinds(kind):
    with pytest.raises(ConfigurationError, match="kind"):
        check_kind(kind)
