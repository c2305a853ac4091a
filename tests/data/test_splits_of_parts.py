"""Photographs of one part stand on one side of a split, whatever the parts are."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ahl._common.errors import DataError
from ahl._common.types import GOOD, Sample
from ahl.data import Dataset, draw_every_class, draw_split
from ahl.data.splits import of_other_parts, split_normals

FIELDS = ("train_normals", "test_normals", "anomalies")


def sample(folder, class_name, number, part=None):
    name = f"{folder}/{class_name}/{number:03}.png"
    return Sample(path=Path("/data", name), name=name, class_name=class_name, part=part)


def dataset(layout, train, test, anomalies):
    return Dataset(
        name="parts",
        root=Path("/data"),
        layout=layout,
        train_normals=tuple(sample("train", GOOD, i, p) for i, p in enumerate(train)),
        test_normals=tuple(sample("test", GOOD, i, p) for i, p in enumerate(test)),
        anomalies=tuple(sample("test", k, i, p) for i, (k, p) in enumerate(anomalies)),
    )


def with_parts(given, part_of):
    fields = {
        name: tuple(replace(one, part=part_of(one)) for one in getattr(given, name))
        for name in FIELDS
    }
    return replace(given, **fields)


PART = st.none() | st.sampled_from([f"p{number}" for number in range(9)])


@st.composite
def datasets(draw):
    layout = draw(st.sampled_from(["inspection", "benchmark"]))
    normals = draw(st.lists(PART, min_size=2, max_size=24))
    test = draw(st.lists(PART, max_size=8)) if layout == "benchmark" else []
    kinds = st.tuples(st.sampled_from(["dent", "hole"]), PART)
    return dataset(layout, normals, test, draw(st.lists(kinds, min_size=3, max_size=16)))


def drawn(given, draw, **arguments):
    try:
        return draw(given, **arguments)
    except DataError:  # too few images or parts: refused, not split
        assume(False)


@given(datasets(), st.sampled_from([draw_split, draw_every_class]), st.integers(0, 99), st.data())
def test_no_part_is_on_both_sides(given, draw, seed, data):
    count = data.draw(st.integers(1, len(given.anomalies) - 1))
    setting = {}
    if data.draw(st.booleans()):
        setting = {"setting": "hard", "known_class": "dent"}
        assume(len(given.classes) == 2)
    split = drawn(given, draw, anomalies=count, seed=seed, **setting)
    trained = {one.part for one in (*split.normals, *split.anomalies)} - {None}
    tested = {one.part for one in split.test} - {None}
    assert not trained & tested
    # And nothing is lost: what is neither trained on nor tested is of a part that trains.
    everything = {one for name in FIELDS for one in getattr(given, name)}
    missing = everything - {*split.normals, *split.anomalies, *split.test}
    if not setting and draw is draw_split:
        assert len(split.anomalies) == count
        assert {one.part for one in missing} <= trained
        assert len(missing) == split.left_out


@given(datasets(), st.sampled_from([draw_split, draw_every_class]), st.integers(0, 99), st.data())
def test_parts_of_one_image_change_nothing(given, draw, seed, data):
    count = data.draw(st.integers(1, len(given.anomalies) - 1))
    plain, each = with_parts(given, lambda _: None), with_parts(given, lambda one: one.name)
    one = drawn(plain, draw, anomalies=count, seed=seed)
    other = draw(each, anomalies=count, seed=seed)
    for name in ("normals", "anomalies", "test"):
        assert [s.name for s in getattr(one, name)] == [s.name for s in getattr(other, name)]
    assert one.left_out == other.left_out == 0


@given(datasets(), st.integers(0, 99))
def test_the_training_anomalies_do_not_depend_on_the_parts(given, seed):
    one = drawn(given, draw_split, anomalies=2, seed=seed)
    other = draw_split(with_parts(given, lambda _: None), anomalies=2, seed=seed)
    assert [s.name for s in one.anomalies] == [s.name for s in other.anomalies]


def test_a_quarter_of_the_parts_is_tested():
    exposures = [f"p{number}" for number in range(8) for _ in range(6)]
    given = dataset("inspection", exposures, [], [("dent", None)] * 4)
    train, test = split_normals(given)
    assert len({one.part for one in test}) == 2
    assert (len(train), len(test)) == (36, 12)


def test_other_photographs_of_a_drawn_defect_are_left_out_and_counted():
    given = dataset("benchmark", [None] * 3, ["a", None], [("dent", "d")] * 3 + [("hole", "e")] * 2)
    split = draw_split(given, anomalies=1, seed=0)
    part = split.anomalies[0].part
    assert all(one.part != part for one in split.test)
    assert split.left_out == sum(one.part == part for one in given.anomalies) - 1


def test_a_test_normal_of_a_part_that_trains_is_left_out():
    given = dataset("benchmark", ["a", "b"], ["a", "c", None], [("dent", None)] * 2)
    split = draw_split(given, anomalies=1)
    assert [one.part for one in split.test if not one.is_anomaly] == ["c", None]
    assert split.left_out == 1
    assert of_other_parts(given.test_normals, given.train_normals) == given.test_normals[1:]


def test_a_split_without_parts_to_test_says_so():
    one_part = dataset("inspection", ["a"] * 5, [], [("dent", None)] * 2)
    with pytest.raises(DataError, match=r"5 normal image\(s\) of one part; .*at least 2 parts"):
        draw_split(one_part, anomalies=1)
    given = dataset("benchmark", ["a"], ["a", "a"], [("dent", None)] * 2)
    with pytest.raises(DataError, match="All 2 normal images of parts that are left to test show"):
        draw_split(given, anomalies=1)
    given = dataset("benchmark", ["a"], [None], [("dent", "d")] * 3)
    with pytest.raises(DataError, match=r"All 2 anomalies of parts .* draw fewer anomalies"):
        draw_split(given, anomalies=1)
