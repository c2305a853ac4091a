"""Draws follow the open-set protocol for every dataset, seed and number of anomalies."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from ahl._common.errors import ConfigurationError, DataError
from ahl._common.types import GOOD, Sample
from ahl.data import Dataset, draw_every_class, draw_split
from ahl.data.splits import split_normals

ROOT = Path("/data/parts")


def samples(folder: str, class_name: str, count: int) -> tuple[Sample, ...]:
    names = [f"{folder}/{class_name}/{index:03}.png" for index in range(count)]
    return tuple(Sample(path=ROOT / name, name=name, class_name=class_name) for name in names)


def make(layout="inspection", *, normals=8, test_normals=5, **classes: int) -> Dataset:
    return Dataset(
        name="parts",
        root=ROOT,
        layout=layout,
        train_normals=samples("train", GOOD, normals),
        test_normals=samples("test", GOOD, test_normals) if layout == "benchmark" else (),
        anomalies=tuple(s for name, n in sorted(classes.items()) for s in samples("test", name, n)),
    )


def shuffled(dataset: Dataset, seed: int) -> Dataset:
    mix = {
        field: tuple(random.Random(seed).sample(value, len(value)))
        for field in ("train_normals", "test_normals", "anomalies")
        for value in [getattr(dataset, field)]
    }
    return replace(dataset, **mix)


def names(group) -> list[str]:
    return [sample.name for sample in group]


@st.composite
def draws(draw):
    """A dataset, and arguments that suit it."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=2, max_size=4))
    dataset = make(
        draw(st.sampled_from(["inspection", "benchmark"])),
        normals=draw(st.integers(2, 12)),
        test_normals=draw(st.integers(0, 4)),
        **{f"kind{index}": size for index, size in enumerate(sizes)},
    )
    seed = draw(st.integers(0, 2**40))
    known = draw(st.integers(0, len(sizes) - 1))
    if sizes[known] > 1 and draw(st.booleans()):
        count = draw(st.integers(1, sizes[known] - 1))
        hard = {"setting": "hard", "known_class": f"kind{known}"}
        return dataset, {"anomalies": count, "seed": seed, **hard}
    return dataset, {"anomalies": draw(st.integers(1, sum(sizes) - 1)), "seed": seed}


@given(draws(), st.integers(0, 1000))
def test_every_draw_follows_the_protocol(drawn, mixing):
    dataset, arguments = drawn
    split = draw_split(dataset, **arguments)
    for group in (split.normals, split.anomalies, split.test):
        assert names(group) == sorted(set(names(group)))
    parts = [set(names(group)) for group in (split.normals, split.anomalies, split.test)]
    assert len(set.union(*parts)) == sum(map(len, parts)), "the three must be disjoint"

    assert len(split.anomalies) == arguments["anomalies"]
    assert set(split.anomalies) <= set(dataset.anomalies)
    tested = {sample for sample in split.test if sample.is_anomaly}
    known = arguments.get("known_class")
    if known is None:
        assert tested == set(dataset.anomalies) - set(split.anomalies)
    else:
        assert {sample.class_name for sample in split.anomalies} == {known}
        assert tested == {s for s in dataset.anomalies if s.class_name != known}

    tested_normals = {sample for sample in split.test if not sample.is_anomaly}
    if dataset.layout == "benchmark":
        assert split.normals == dataset.train_normals
        assert tested_normals == set(dataset.test_normals)
    else:
        assert tested_normals | set(split.normals) == set(dataset.train_normals)
        assert len(tested_normals) == -(-len(dataset.train_normals) // 4)

    assert draw_split(shuffled(dataset, mixing), **arguments) == split


def test_normals_are_split_as_the_protocol_says():
    dataset = make(normals=41, scratch=3)
    train, test = train_test_split(names(dataset.train_normals), test_size=0.25, random_state=42)
    for seed in range(3):
        split = draw_split(dataset, anomalies=1, seed=seed)
        assert names(split.normals) == sorted(train)
        assert [s.name for s in split.test if not s.is_anomaly] == sorted(test)


def test_seeds_draw_differently_and_reach_every_anomaly():
    dataset = make(scratch=5, dent=5)
    drawn = {draw_split(dataset, anomalies=1, seed=seed).anomalies[0] for seed in range(80)}
    assert drawn == set(dataset.anomalies)
    drawn = {
        draw_split(dataset, anomalies=2, setting="hard", known_class="dent", seed=seed).anomalies
        for seed in range(80)
    }
    assert len(drawn) == 10, "all pairs out of five"


def test_everything_trains_in_the_inspection_layout_by_default():
    dataset = make(normals=1, scratch=1)
    split = draw_split(shuffled(dataset, 1), anomalies=None)
    assert (split.normals, split.anomalies) == (dataset.train_normals, dataset.anomalies)
    assert split.test == ()


def test_ten_are_drawn_from_a_benchmark_by_default():
    split = draw_split(make("benchmark", scratch=6, dent=5), anomalies=None)
    assert len(split.anomalies) == 10
    assert sum(sample.is_anomaly for sample in split.test) == 1
    split = draw_split(
        make("benchmark", scratch=1, dent=11), anomalies=None, setting="hard", known_class="dent"
    )
    assert len(split.anomalies) == 10
    with pytest.raises(DataError, match=r"has 10 anomalies; drawing 10 .*--anomalies"):
        draw_split(make("benchmark", scratch=5, dent=5), anomalies=None)


@pytest.mark.parametrize("layout", ["inspection", "benchmark"])
def test_a_test_needs_an_anomaly_left(layout):
    dataset = make(layout, scratch=2, dent=1)
    assert len(draw_split(dataset, anomalies=2).anomalies) == 2
    for count in (3, 4, 1000):
        with pytest.raises(DataError, match=f"has 3 anomalies; drawing {count} leaves none"):
            draw_split(dataset, anomalies=count)


@pytest.mark.parametrize("layout", ["inspection", "benchmark"])
@pytest.mark.parametrize("anomalies", [None, 1])
def test_at_least_one_labelled_anomaly_is_needed(layout, anomalies):
    with pytest.raises(DataError, match="at least one labelled anomaly is needed"):
        draw_split(make(layout), anomalies=anomalies)


def test_a_test_needs_two_normals():
    with pytest.raises(DataError, match=r"1 normal image\(s\); a test needs at least 2"):
        draw_split(make(normals=1, scratch=3), anomalies=1)
    split = draw_split(make(normals=2, scratch=3), anomalies=1)
    assert (len(split.normals), len(split.test)) == (1, 3)


def test_the_hard_setting_needs_more_images_than_it_draws():
    dataset = make(scratch=2, dent=3, hole=4)
    arguments = {"setting": "hard", "anomalies": 3}
    assert len(draw_split(dataset, known_class="hole", **arguments).test) == 2 + 5
    with pytest.raises(DataError, match=r"dent of parts has 3 image.*that have: hole\."):
        draw_split(dataset, known_class="dent", **arguments)
    with pytest.raises(DataError, match=r"Classes that have: none\."):
        draw_split(dataset, known_class="dent", setting="hard", anomalies=4)


def test_the_hard_setting_needs_another_class():
    with pytest.raises(DataError, match="only anomaly class"):
        draw_split(make(scratch=5), anomalies=1, setting="hard", known_class="scratch")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"anomalies": 0}, r"anomalies is 0; .*at least 1 \(parts has 5\)"),
        ({"anomalies": -3}, "anomalies is -3"),
        ({"anomalies": 1, "seed": -1}, "seed is -1"),
        ({"anomalies": 1, "setting": "easy"}, "setting is 'easy'"),
        ({"anomalies": 1, "known_class": "dent"}, "known_class is 'dent', which only the hard"),
        ({"anomalies": 1, "setting": "hard"}, r"known_class is None.*: dent, scratch\."),
        ({"anomalies": 2, "setting": "hard"}, r"more than 2 image\(s\): scratch\."),
        ({"anomalies": 1, "setting": "hard", "known_class": "x"}, "known_class is 'x'.*: dent"),
        ({"anomalies": 1, "setting": "hard", "known_class": "good"}, "known_class is 'good'"),
        ({"anomalies": None, "setting": "hard", "known_class": "dent"}, "give it by anomalies"),
    ],
)
def test_arguments_that_cannot_work(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        draw_split(make(scratch=3, dent=2), **arguments)


# --- every class -----------------------------------------------------------------------------


@st.composite
def every_class_draws(draw):
    """A dataset, and arguments that suit it: some class has two images, another is tested."""
    sizes = draw(st.lists(st.integers(1, 9), min_size=2, max_size=4))
    sizes[draw(st.integers(0, len(sizes) - 1))] += 1
    dataset = make(
        draw(st.sampled_from(["inspection", "benchmark"])),
        normals=draw(st.integers(2, 12)),
        test_normals=draw(st.integers(0, 4)),
        **{f"kind{index}": size for index, size in enumerate(sizes)},
    )
    arguments = {"anomalies": draw(st.integers(1, 6)), "seed": draw(st.integers(0, 2**40))}
    if draw(st.booleans()):
        arguments |= {"setting": "hard", "known_class": draw(st.sampled_from(dataset.classes))}
    return dataset, arguments


@given(every_class_draws(), st.integers(0, 1000))
def test_every_class_trains_and_all_but_the_known_one_are_tested(drawn, mixing):
    dataset, arguments = drawn
    split = draw_every_class(dataset, **arguments)
    parts = [split.normals, split.anomalies, split.test]
    assert all(names(part) == sorted(names(part)) for part in parts)
    assert len({s for part in parts for s in part}) == sum(map(len, parts)), "disjoint"
    for name in dataset.classes:
        everything = {s for s in dataset.anomalies if s.class_name == name}
        trained, tested = everything & set(split.anomalies), everything & set(split.test)
        assert len(trained) == min(arguments["anomalies"], len(everything) // 2)
        known = name == arguments.get("known_class")
        assert tested == (set() if known else everything - trained)
    normals, test_normals = split_normals(dataset)
    assert split.normals == normals
    assert {s for s in split.test if not s.is_anomaly} == set(test_normals)
    assert (split.drawn, split.known_class) == (
        arguments.get("setting", "general"),
        arguments.get("known_class"),
    )
    assert draw_every_class(shuffled(dataset, mixing), **arguments) == split


def test_m_of_each_class_and_half_of_a_small_one():
    split = draw_every_class(make(big=9, even=4, odd=5, pair=2, single=1), anomalies=3)
    trained = [sample.class_name for sample in split.anomalies]
    counts = [trained.count(name) for name in ("big", "even", "odd", "pair", "single")]
    assert counts == [3, 2, 2, 1, 0]


def test_seeds_draw_every_class_differently():
    dataset = make(scratch=5, dent=4)
    drawn = [draw_every_class(dataset, anomalies=1, seed=seed).anomalies for seed in range(80)]
    assert {sample for pair in drawn for sample in pair} == set(dataset.anomalies)
    assert len(set(drawn)) == 20, "all pairs"


def test_every_class_needs_one_to_train_and_one_to_test():
    with pytest.raises(DataError, match="no anomaly class with images to train and to test"):
        draw_every_class(make(scratch=1, dent=1), anomalies=1)
    with pytest.raises(DataError, match="no anomaly class"):
        draw_every_class(make(dent=4), anomalies=1, setting="hard", known_class="dent")
    with pytest.raises(DataError, match="no anomaly class"):
        draw_every_class(make(), anomalies=1)
    with pytest.raises(ConfigurationError, match="anomalies is 0"):
        draw_every_class(make(dent=4), anomalies=0)


# --- normals ---------------------------------------------------------------------------------


@given(st.integers(2, 60), st.integers(0, 1000))
def test_a_quarter_of_the_normals_is_tested_whoever_asks(count, mixing):
    dataset = make(normals=count, scratch=3)
    train, test = split_normals(dataset)
    assert names(train) == sorted(names(train))
    assert names(test) == sorted(names(test))
    assert sorted(names(train) + names(test)) == names(dataset.train_normals)
    assert len(test) == -(-count // 4)
    assert split_normals(shuffled(dataset, mixing)) == (train, test)
    assert split_normals(replace(dataset, anomalies=())) == (train, test)


def test_a_benchmark_brings_its_own_normals_to_test():
    for count in (0, 1, 5):
        dataset = make("benchmark", normals=1, test_normals=count, scratch=3)
        assert split_normals(shuffled(dataset, 1)) == (dataset.train_normals, dataset.test_normals)


def test_one_normal_cannot_be_split():
    with pytest.raises(DataError, match=r"1 normal image\(s\); a test needs at least 2"):
        split_normals(make(normals=1))
